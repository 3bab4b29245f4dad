# The paper's own task: focal stacks of the first stain of BBBC006, 1 channel, planes 0 to 16.
# 40 passes over 538 training stacks x 7 triplets, in steps of 16 triplets x 10 crops.
_base_ = "./linear-latent-blur_explicit_1xb16-4k_camvid-128x128.py"
model = dict(in_channels=1)
stacks = dict(
    type="FocalStackDataset",
    data_root="data/bbbc006",
    data_prefix=dict(img_path=""),
    pattern="*_w1*",
    ends=(0, 16),
    crop_size=128,
)
train_dataloader = dict(dataset=dict(_delete_=True, **stacks, crops=10, part=(0.3, 1.0)))
val_dataloader = dict(dataset=dict(_delete_=True, **stacks, test_mode=True, part=(0.2, 0.3)))
test_dataloader = dict(dataset=dict(_delete_=True, **stacks, test_mode=True, part=(0.0, 0.2)))
train_cfg = dict(max_iters=9415, val_interval=2000)
