# CWFA as fine-tuning: a quarter of the schedule at a fifth of the learning rate, from a checkpoint
# of the plain model: --cfg-options load_from=CHECKPOINT.
_base_ = ["./segformer_mit-b0-cwfa_1xb8-4k_camvid-320x320.py"]
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=50),
    dict(type="PolyLR", eta_min=0.0, power=1.0, begin=50, end=1000, by_epoch=False),
]
train_cfg = dict(max_iters=1000, val_interval=500)
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0)]
