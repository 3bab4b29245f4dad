# RigL at sparsity 0.3, from the pretrained backbone's largest weights: 120 changes of the masks,
# the last at iteration 120,000. Sparsity and interval are the project's own choice, see
# docs/sparse_training.md.
_base_ = ["mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [
    dict(type="DynamicSparseTrainingHook", method="rigl", sparsity=0.3, interval=1000),
]
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
