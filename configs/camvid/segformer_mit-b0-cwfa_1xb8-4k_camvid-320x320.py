# The paper's epsilon and prob for B0, after the first tenth of the run as in the paper.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0.1)]
