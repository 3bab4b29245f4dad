# AFA (arXiv 2403.01944) on the paper's own task, with its recipe for CIFAR-10 as the official code
# has it; the strength of the waves is the official one for ImageNet, that for CIFAR is not in the
# code. Without the instance norms (IBN) of the published networks. Needs mmseg-robust[optional].
_base_ = ["mmpretrain::resnet/resnet18_8xb16_cifar10.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
model = dict(
    type="MultiViewImageClassifier",
    views=dict(waves=dict(type="FourierBasis", mean_strength=10.0)),
    terms=[dict(type="TaskLossTerm", weight=0.5, view="waves")],
    clean_weight=0.5,
    auxiliary_norm=["waves"],
    channel_order="rgb",
)
train_dataloader = dict(batch_size=256)
optim_wrapper = dict(optimizer=dict(nesterov=True, weight_decay=5e-4), clip_grad=dict(max_norm=1.0))
param_scheduler = dict(
    _delete_=True, type="CosineAnnealingLR", T_max=200, eta_min=1e-5, by_epoch=True, end=200
)
auto_scale_lr = dict(base_batch_size=256)
