# Fine-tuning of MMSegmentation's trained SegFormer-B2: a tenth of the schedule, half the learning
# rate, CWFA from the start. The paper trains in one run; this short form is the project's own.
_base_ = ["mmseg::segformer/segformer_mit-b2_8xb1-160k_cityscapes-1024x1024.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
load_from = (
    "https://download.openmmlab.com/mmsegmentation/v0.5/segformer/"
    "segformer_mit-b2_8x1_1024x1024_160k_cityscapes/"
    "segformer_mit-b2_8x1_1024x1024_160k_cityscapes_20211207_134205-6096669a.pth"
)
model = dict(backbone=dict(init_cfg=None))
optim_wrapper = dict(optimizer=dict(lr=3e-5))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=500),
    dict(type="PolyLR", eta_min=0.0, power=1.0, by_epoch=False, begin=500, end=16000),
]
train_cfg = dict(max_iters=16000, val_interval=4000)
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0)]
default_hooks = dict(checkpoint=dict(interval=4000))
test_cfg = dict(type="RobustnessTestLoop", protocol="cityscapes-c")
