# The same with CWFA. A smaller epsilon with a larger prob than the paper's suits a run this short.
_base_ = ["./segformer_mit-b0_1xb4-500_synthetic-streets-128x128.py"]
custom_hooks = [dict(type="CWFAHook", epsilon=3.0, prob=0.5, begin=0.1)]
