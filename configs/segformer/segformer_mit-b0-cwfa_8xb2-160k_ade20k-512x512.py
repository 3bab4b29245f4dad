# The paper's epsilon for ADE20K is not known; these are its values for Cityscapes.
_base_ = ["mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=16000)]
test_cfg = dict(type="RobustnessTestLoop", protocol="ade20k-c")
