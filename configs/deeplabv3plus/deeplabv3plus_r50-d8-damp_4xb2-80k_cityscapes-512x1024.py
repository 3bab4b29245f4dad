# DAMP with the paper's sigma for a ResNet-50 on ImageNet; it has none for segmentation, see
# docs/damp.md. Four GPUs with noise of their own make M = 4. The stock config's SyncBN is what the
# authors use: its statistics mix the differently perturbed networks.
_base_ = ["mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [dict(type="DAMPHook", sigma=0.1)]
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
