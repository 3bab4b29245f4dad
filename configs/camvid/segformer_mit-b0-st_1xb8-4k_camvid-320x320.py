# Stability training (arXiv 1604.04326). With the alpha 0.01 and sigma 0.04 of public
# re-implementations hardly anything changes; these values are the project's own.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(noisy=dict(type="GaussianNoise", sigma=0.12)),
    terms=[dict(type="StabilityTerm", weight=1.0, view="noisy")],
)
