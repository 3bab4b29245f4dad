# A classifier: DAMP with the paper's sigma for this network and data, over MMPretrain's recipe (the
# paper trains 300 epochs, with Nesterov momentum, weight decay 5e-4 and another schedule). Eight
# GPUs are the paper's M = 8; on one, optim_wrapper.accumulative_counts=8 is the same. Tested by
# MMPretrain's own loop. Needs the extra `mmseg-robust[optional]`.
_base_ = ["mmpretrain::resnet/resnet18_8xb16_cifar10.py"]
custom_imports = dict(imports=["mmseg_robust"], allow_failed_imports=False)
custom_hooks = [dict(type="DAMPHook", sigma=0.2)]
