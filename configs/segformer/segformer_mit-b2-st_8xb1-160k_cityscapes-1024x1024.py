# Stability training (arXiv 1604.04326) with the alpha and sigma of public re-implementations.
_base_ = ["mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(noisy=dict(type="GaussianNoise", sigma=0.04)),
    terms=[dict(type="StabilityTerm", weight=0.01, view="noisy")],
)
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
