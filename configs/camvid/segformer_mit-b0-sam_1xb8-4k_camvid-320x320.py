# SAM with the rho of its paper, from classification; see docs/sharpness_aware.md.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="SharpnessAwareHook", rho=0.05)]
