# The paper's epsilon and prob for SegFormer-B0; it has none for CNNs.
_base_ = ["./deeplabv3plus_r18_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0.1)]
