# Fine-tuning of MMSegmentation's trained SegFormer-B2 with combined augmentations and CWFA, drawn
# once a sample for all stages: the second best on CamVid (docs/results/camvid). The schedule is
# that of the fine-tuning with CWFA alone.
_base_ = ["./segformer_mit-b2-cwfa-ft_8xb1-16k_cityscapes-1024x1024.py"]
model = dict(
    type="MultiViewEncoderDecoder",
    views=dict(altered=dict(type="CombinedAugmentations")),
    terms=[dict(type="TaskLossTerm", weight=0.5, view="altered")],
    clean_weight=0.5,
    norm_statistics="joint",
)
custom_hooks = [dict(type="CWFAHook", epsilon=9.0, prob=0.3, begin=0, per_stage=False)]
