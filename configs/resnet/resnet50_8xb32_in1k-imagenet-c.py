# ImageNet-C (arXiv 1903.12261) for MMPretrain's ResNet-50: a test config, training is the stock one
_base_ = ["mmpretrain::resnet/resnet50_8xb32_in1k.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
# All 75 cells of an image make one batch: crops of 224 x 224 are small
test_cfg = dict(
    type="RobustnessTestLoop", protocol="imagenet-c", baseline="alexnet", cells_per_batch=75
)
