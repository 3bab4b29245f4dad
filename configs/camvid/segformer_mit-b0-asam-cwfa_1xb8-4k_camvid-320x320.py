# ASAM on the weights, and CWFA at the features after a third of the run.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
custom_hooks = [
    dict(type="SharpnessAwareHook", rho=0.5, adaptive=True),
    dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=1 / 3),
]
