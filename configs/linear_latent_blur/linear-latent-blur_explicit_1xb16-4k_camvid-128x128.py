# Blur levels of street scenes, made by the engine's filter: 16 images x 4 crops a step.
# The same for any folder of images: data_root and data_prefix.
_base_ = ["mmseg::_base_/default_runtime.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
model = dict(
    type="LinearLatentAutoEncoder",
    channels=(64, 128, 256, 512, 1024),
    in_channels=3,
    linearity="explicit",
    data_preprocessor=dict(type="BlurLevelPreprocessor"),
)

dataset = dict(type="DefocusedImageDataset", data_root="data/camvid", in_channels=3, crop_size=128)
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(**dataset, data_prefix=dict(img_path="images/train"), crops=4),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(**dataset, data_prefix=dict(img_path="images/val"), test_mode=True),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(**dataset, data_prefix=dict(img_path="images/test"), test_mode=True),
)
val_evaluator = dict(type="BlurLevelMetric")
test_evaluator = val_evaluator

optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-3))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=4000, val_interval=1000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1000, max_keep_ckpts=2),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
