# FMA loss in fine-tuning, as the paper uses it (arXiv 2012.01386): from MMSegmentation's trained
# SegFormer-B2, with a tenth of its iterations and of its learning rate (the project's own choice).
_base_ = ["./segformer_mit-b2-fma_8xb1-160k_cityscapes-1024x1024.py"]
load_from = (
    "https://download.openmmlab.com/mmsegmentation/v0.5/segformer/"
    "segformer_mit-b2_8x1_1024x1024_160k_cityscapes/"
    "segformer_mit-b2_8x1_1024x1024_160k_cityscapes_20211207_134205-6096669a.pth"
)
model = dict(backbone=dict(init_cfg=None))
optim_wrapper = dict(optimizer=dict(lr=6e-6))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=500),
    dict(type="PolyLR", eta_min=0.0, power=1.0, by_epoch=False, begin=500, end=16000),
]
train_cfg = dict(max_iters=16000, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
