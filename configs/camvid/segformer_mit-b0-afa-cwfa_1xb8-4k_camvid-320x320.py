# AFA at the inputs and CWFA at the features.
_base_ = ["./segformer_mit-b0-afa_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0.1)]
