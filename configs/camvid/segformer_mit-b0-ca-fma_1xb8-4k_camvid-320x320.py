# One altered view, used twice: half of the task loss is on it, and its features are drawn to those
# of the clean images by the FMA loss.
_base_ = ["./segformer_mit-b0-ca_1xb8-4k_camvid-320x320.py"]
model = dict(
    terms=[
        dict(type="TaskLossTerm", weight=0.5, view="altered"),
        dict(type="FMATerm", weight=1.0, view="altered"),
    ],
)
