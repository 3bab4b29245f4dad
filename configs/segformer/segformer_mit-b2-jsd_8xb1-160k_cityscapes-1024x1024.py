# AugMix without geometry and its Jensen-Shannon consistency, weight 12 (arXiv 1912.02781).
_base_ = ["mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(first=dict(type="AugMix"), second=dict(type="AugMix")),
    terms=[dict(type="JensenShannonTerm", weight=12.0, views=["first", "second"])],
)
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
