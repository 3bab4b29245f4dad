# SAM with the rho of its paper, from classification; see docs/sharpness_aware.md.
_base_ = ["mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [dict(type="SharpnessAwareHook", rho=0.05)]
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
