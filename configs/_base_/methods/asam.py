# ASAM, to put beside any base: only `custom_hooks` is defined here, so that it collides with no
# stock file. rho is its authors' for CIFAR-10; see docs/sharpness_aware.md for others.
custom_hooks = [dict(type="SharpnessAwareHook", rho=0.5, adaptive=True)]
