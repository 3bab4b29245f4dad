# ASAM with its authors' rho for CIFAR-10, between those of DAMP's paper for ViTs under strong
# augmentation (0.4 and 0.6); see docs/sharpness_aware.md.
_base_ = ["mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [dict(type="SharpnessAwareHook", rho=0.5, adaptive=True)]
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
