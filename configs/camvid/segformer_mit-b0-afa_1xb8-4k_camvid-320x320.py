# AFA (arXiv 2403.01944): half of the loss on clean images, half on Fourier-augmented ones, which go
# through batch norms of their own; SegFormer has them in its head alone.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(waves=dict(type="FourierBasis", mean_strength=10.0)),
    terms=[dict(type="TaskLossTerm", weight=0.5, view="waves")],
    clean_weight=0.5,
    auxiliary_norm=["waves"],
)
