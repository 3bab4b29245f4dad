# Combined augmentations as plain data augmentation.
_base_ = [
    "mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py",
    "../_base_/views/ca.py",
]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
model = _base_.combined_augmentations
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
