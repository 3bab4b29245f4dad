# RigL at sparsity 0.3, to put beside any base that loads a pretrained backbone: only `custom_hooks`
# is defined here, so that it collides with no stock file. From scratch: init="random".
custom_hooks = [
    dict(type="DynamicSparseTrainingHook", method="rigl", sparsity=0.3, interval=1000),
]
