# AFA at the inputs and CWFA at the features.
_base_ = ["./segformer_mit-b2-afa_8xb1-160k_cityscapes-1024x1024.py"]
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=16000)]
