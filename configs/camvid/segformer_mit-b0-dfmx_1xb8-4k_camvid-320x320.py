# DFM-X: three images in ten keep the dominant frequencies of a class that they do not show, and no
# others. The clean copy is not computed: the cost of a stock training. The maps come from a trained
# plain model; this is where the tool puts them, and --cfg-options model.views.filtered.maps=FILE
# names another place:
#   python tools/analysis_tools/dominant_frequencies.py PLAIN_CONFIG PLAIN_CHECKPOINT
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(
        filtered=dict(
            type="DominantFrequencies",
            maps="work_dirs/segformer_mit-b0_1xb8-4k_camvid-320x320/dominant_frequencies.npz",
            prob=0.3,
        )
    ),
    terms=[dict(type="TaskLossTerm", weight=1.0, view="filtered")],
    clean_weight=0.0,
)
