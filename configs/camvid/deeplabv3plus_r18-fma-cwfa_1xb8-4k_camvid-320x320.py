# FMA loss on the combined augmentations, and CWFA.
_base_ = ["./deeplabv3plus_r18-cwfa_1xb8-4k_camvid-320x320.py"]
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(altered=dict(type="CombinedAugmentations")),
    terms=[dict(type="FMATerm", weight=1.0, view="altered")],
)
