# Combined augmentations as plain data augmentation.
_base_ = ["./segformer_mit-b0_1xb8-4k_camvid-320x320.py", "../_base_/views/ca.py"]
model = _base_.combined_augmentations
