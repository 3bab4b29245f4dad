# DAMP with the paper's sigma for ViT-S under strong augmentation on ImageNet; it has none for
# segmentation, see docs/damp.md. Eight GPUs with noise of their own are the paper's M = 8.
_base_ = ["mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [dict(type="DAMPHook", sigma=0.1)]
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
