_base_ = ["mmseg::segformer/segformer_mit-b1_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=16000)]
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
