# FMA loss (arXiv 2012.01386) on one of the combined augmentations for each image. The equation, its
# weight and the augmentations are the project's own: only the paper's abstract could be read.
_base_ = ["mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(altered=dict(type="CombinedAugmentations")),
    terms=[dict(type="FMATerm", weight=1.0, view="altered")],
)
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
