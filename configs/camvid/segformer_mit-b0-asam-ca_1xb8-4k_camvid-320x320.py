# ASAM on the weights, combined augmentations at the inputs.
_base_ = ["./segformer_mit-b0-ca_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="SharpnessAwareHook", rho=0.5, adaptive=True)]
