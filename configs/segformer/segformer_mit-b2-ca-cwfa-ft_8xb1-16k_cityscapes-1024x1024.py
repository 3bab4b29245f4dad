# Fine-tuning of MMSegmentation's trained SegFormer-B2 with combined augmentations and CWFA, drawn
# once a sample for all stages: the second best on CamVid (docs/results/camvid). The schedule is
# that of the fine-tuning with CWFA alone.
_base_ = ["./segformer_mit-b2-cwfa-ft_8xb1-16k_cityscapes-1024x1024.py", "../_base_/views/ca.py"]
model = _base_.combined_augmentations
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0, per_stage=False)]
