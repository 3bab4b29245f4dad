# A third of the loss on clean images, a third on combined augmentations of them, a third on AFA's
# waves; batch norms over all three, as in a batch of three times the size.
_base_ = ["./segformer_mit-b0-ca_1xb8-4k_camvid-320x320.py"]
model = dict(
    views=dict(waves=dict(type="FourierBasis", mean_strength=10.0)),
    terms=[
        dict(type="TaskLossTerm", weight=1 / 3, view="altered"),
        dict(type="TaskLossTerm", weight=1 / 3, view="waves"),
    ],
    clean_weight=1 / 3,
)
