# Combined augmentations at the inputs and CWFA at the features, one draw a sample for all stages.
_base_ = ["./segformer_mit-b0-ca_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0.1, per_stage=False)]
