# ASAM with its authors' rho for CIFAR-10, between those of DAMP's paper for ViTs under strong
# augmentation (0.4 and 0.6); see docs/sharpness_aware.md.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="SharpnessAwareHook", rho=0.5, adaptive=True)]
