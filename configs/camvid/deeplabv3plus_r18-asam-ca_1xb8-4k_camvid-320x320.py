# ASAM on the weights, combined augmentations at the inputs: the best composition of SegFormer's.
_base_ = ["./deeplabv3plus_r18_1xb8-4k_camvid-320x320.py", "../_base_/views/ca.py"]
model = _base_.combined_augmentations
custom_hooks = [dict(type="SharpnessAwareHook", rho=0.5, adaptive=True)]
