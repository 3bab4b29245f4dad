# AFA at the inputs and DAMP at the weights.
_base_ = ["./segformer_mit-b2-afa_8xb1-160k_cityscapes-1024x1024.py"]
custom_hooks = [dict(type="DAMPHook", sigma=0.1)]
