# A random mask of sparsity 0.5 that stays as it is: the control that the papers lack.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
custom_hooks = [
    dict(
        type="DynamicSparseTrainingHook",
        method="static",
        sparsity=0.5,
        init="random",
    ),
]
