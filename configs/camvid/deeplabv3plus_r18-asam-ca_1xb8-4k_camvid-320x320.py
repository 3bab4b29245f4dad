# ASAM on the weights, combined augmentations at the inputs: the best composition of SegFormer's.
_base_ = ["./deeplabv3plus_r18_1xb8-4k_camvid-320x320.py"]
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(altered=dict(type="CombinedAugmentations")),
    terms=[dict(type="TaskLossTerm", weight=0.5, view="altered")],
    clean_weight=0.5,
    norm_statistics="joint",
)
custom_hooks = [dict(type="SharpnessAwareHook", rho=0.5, adaptive=True)]
