# DAMP with the paper's sigma for a ResNet-50 on ImageNet.
_base_ = ["./deeplabv3plus_r18_1xb8-4k_camvid-320x320.py"]
custom_hooks = [dict(type="DAMPHook", sigma=0.1)]
