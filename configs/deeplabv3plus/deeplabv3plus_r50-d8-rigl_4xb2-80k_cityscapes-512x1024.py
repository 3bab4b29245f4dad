# RigL at sparsity 0.3, from the pretrained backbone's largest weights: 120 changes of the masks,
# the last at iteration 60,000. Uniform over the layers: ERK would leave 54 of 64 dense.
_base_ = ["mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-80k_cityscapes-512x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [
    dict(type="DynamicSparseTrainingHook", method="rigl", sparsity=0.3, interval=500),
]
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
