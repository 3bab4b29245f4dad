# AFA at the inputs and DAMP at the weights.
_base_ = ["./segformer_mit-b0-afa_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="DAMPHook", sigma=0.1)]
