# AFA (arXiv 2403.01944): half of the loss on clean images, half on Fourier-augmented ones, which go
# through batch norms of their own; SegFormer has them in its head alone.
_base_ = ["mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(waves=dict(type="FourierBasis", mean_strength=10.0)),
    terms=[dict(type="TaskLossTerm", weight=0.5, view="waves")],
    clean_weight=0.5,
    auxiliary_norm=["waves"],
)
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
