# SegFormer-B0 from scratch on CamVid: the plain baseline of the results in the README.
# 4,000 iterations of 8 crops are 87 epochs; no pretrained weights, so that it runs offline.
_base_ = [
    "mmseg::_base_/models/segformer_mit-b0.py",
    "../_base_/datasets/camvid.py",
    "../_base_/schedules/adamw_4k.py",
    "mmseg::_base_/default_runtime.py",
]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
crop_size = (320, 320)
model = dict(
    data_preprocessor=dict(size=crop_size),
    decode_head=dict(num_classes=11),
)
