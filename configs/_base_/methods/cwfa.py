# CWFA with the paper's values for SegFormer B0 to B2, to put beside any base: only `custom_hooks`
# is defined here, so that it collides with no stock file. Larger models: epsilon=15.0.
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0.1)]
