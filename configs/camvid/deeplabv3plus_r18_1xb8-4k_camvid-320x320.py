# A CNN by the recipe of the SegFormer-B0 beside it: DeepLabV3+ on a ResNet-18, from scratch.
_base_ = [
    "mmseg::_base_/models/deeplabv3plus_r50-d8.py",
    "../_base_/datasets/camvid.py",
    "../_base_/schedules/adamw_4k.py",
    "mmseg::_base_/default_runtime.py",
]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
crop_size = (320, 320)
model = dict(
    data_preprocessor=dict(size=crop_size),
    pretrained=None,
    backbone=dict(depth=18),
    # As MMSegmentation's deeplabv3plus_r18 configs.
    decode_head=dict(
        in_channels=512, c1_in_channels=64, channels=128, c1_channels=12, num_classes=11
    ),
    auxiliary_head=dict(in_channels=256, channels=64, num_classes=11),
)
