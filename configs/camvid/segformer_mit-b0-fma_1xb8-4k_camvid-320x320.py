# FMA loss (arXiv 2012.01386) on one of the combined augmentations for each image. The equation, its
# weight and the augmentations are the project's own: only the paper's abstract could be read.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(altered=dict(type="CombinedAugmentations")),
    terms=[dict(type="FMATerm", weight=1.0, view="altered")],
)
