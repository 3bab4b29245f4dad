# AugMix without geometry and its Jensen-Shannon consistency, weight 12 (arXiv 1912.02781).
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(first=dict(type="AugMix"), second=dict(type="AugMix")),
    terms=[dict(type="JensenShannonTerm", weight=12.0, views=["first", "second"])],
)
