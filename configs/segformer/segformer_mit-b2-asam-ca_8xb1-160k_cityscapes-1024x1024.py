# ASAM on the weights, combined augmentations at the inputs: on CamVid the best under corruption of
# all that was measured, with nothing lost clean (docs/results/camvid). Each step makes two passes
# over the clean and the altered images.
_base_ = ["./segformer_mit-b2-ca_8xb1-160k_cityscapes-1024x1024.py"]
custom_hooks = [dict(type="SharpnessAwareHook", rho=0.5, adaptive=True)]
