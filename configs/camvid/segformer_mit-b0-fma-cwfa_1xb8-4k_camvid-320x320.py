# FMA loss between the views and CWFA at the features.
_base_ = ["./segformer_mit-b0-fma_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0.1)]
