# Needs the extra `mmseg-robust[optional]`. The base has custom imports of its own: they are listed
# again here, after this package.
_base_ = ["mmseg::convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512.py"]
custom_imports = dict(imports=["mmseg_robust", "mmpretrain.models"], allow_failed_imports=False)
# ConvNeXt's stage outputs are not normalised: see the log for each stage's norm beside epsilon.
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=16000)]
test_cfg = dict(type="RobustnessTestLoop", protocol="ade20k-c")
