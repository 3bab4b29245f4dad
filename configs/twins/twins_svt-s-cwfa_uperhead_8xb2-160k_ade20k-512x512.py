_base_ = ["mmseg::twins/twins_svt-s_uperhead_8xb2-160k_ade20k-512x512.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=16000)]
test_cfg = dict(type="RobustnessTestLoop", protocol="ade20k-c")
