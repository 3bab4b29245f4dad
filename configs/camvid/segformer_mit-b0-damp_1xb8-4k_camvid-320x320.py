# DAMP with the paper's sigma for ViT-S under strong augmentation on ImageNet; it has none for
# segmentation, see docs/damp.md. One GPU draws once a step (M = 1), where the paper averages
# over eight draws.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="DAMPHook", sigma=0.1)]
