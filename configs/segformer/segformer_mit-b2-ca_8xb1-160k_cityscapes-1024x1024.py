# Combined augmentations as plain data augmentation: half of the loss on clean images, half on
# altered ones, batch norms over both, as in a batch of twice the size. clean_weight=0 and a weight
# of 1 train on altered images alone, at the cost of a stock training.
_base_ = ["mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(altered=dict(type="CombinedAugmentations")),
    terms=[dict(type="TaskLossTerm", weight=0.5, view="altered")],
    clean_weight=0.5,
    norm_statistics="joint",
)
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
