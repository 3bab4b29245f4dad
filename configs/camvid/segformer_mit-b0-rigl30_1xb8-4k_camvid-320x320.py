# RigL at sparsity 0.3 from random masks and weights, as in the papers: 30 changes of the masks up
# to iteration 3,000.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
custom_hooks = [
    dict(
        type="DynamicSparseTrainingHook",
        method="rigl",
        sparsity=0.3,
        init="random",
        interval=100,
    ),
]
