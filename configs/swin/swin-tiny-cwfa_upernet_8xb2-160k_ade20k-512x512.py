# Swin's stage outputs are not normalised, so the paper's epsilon for SegFormer may be out of
# scale: the log shows each stage's norm beside epsilon at the start; give one epsilon a stage if
# they differ.
_base_ = ["mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=16000)]
test_cfg = dict(type="RobustnessTestLoop", protocol="ade20k-c")
