# The same with CWFA, gentler than the paper's: a third of its epsilon and only in the second half,
# because a network that has seen 250 batches has little to be perturbed.
_base_ = ["./segformer_mit-b0_1xb4-500_synthetic-streets-128x128.py"]
custom_hooks = [dict(type="CWFAHook", epsilon=3.0, prob=0.3, begin=0.5)]
