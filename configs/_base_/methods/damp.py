# DAMP, to put beside any base: only `custom_hooks` is defined here, so that it collides with no
# stock file. The paper's sigma: 0.1 for ResNet-50 and, under strong augmentation, ViT-S; 0.15 for
# ViT-B; 0.25 for ViT-S under weak augmentation; 0.2 for ResNet-18 on CIFAR-10.
custom_hooks = [dict(type="DAMPHook", sigma=0.1)]
