# Combined augmentations as plain data augmentation: half of the loss on clean images, half on
# altered ones, batch norms over both, as in a batch of twice the size. clean_weight=0 and a weight
# of 1 train on altered images alone, at the cost of a stock training. To put beside any base, with
# `model = _base_.combined_augmentations`: a `model` here would collide with that of the base.
combined_augmentations = dict(
    type="MultiViewEncoderDecoder",
    views=dict(altered=dict(type="CombinedAugmentations")),
    terms=[dict(type="TaskLossTerm", weight=0.5, view="altered")],
    clean_weight=0.5,
    norm_statistics="joint",
)
