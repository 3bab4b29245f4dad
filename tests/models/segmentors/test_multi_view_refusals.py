"""What cannot be trained with several views is told when the model is built."""

from __future__ import annotations

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
import torch
from mmseg.models.decode_heads import FCNHead
from multi_view_runs import (
    FCN,
    FMA,
    HEAD,
    JSD,
    NOISE,
    STABILITY,
    TASK,
    build,
    multi_view,
    resnet_cfg,
    still_cfg,
    views,
)

from mmseg_robust.augmentations import BatchAugmentation
from mmseg_robust.errors import InputError


class Resizes(BatchAugmentation):
    def augment(self, images, seeds):
        return images[:, :, ::2, ::2]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(terms=[dict(FMA, stages=[4])]), "Stage index 4 is out of range: .* has 4 stages"),
        (dict(terms=[dict(FMA, modules=["backbone.stage9"])]), "no module 'backbone.stage9'"),
        (dict(terms=[dict(FMA, weight=-1)]), "weight of FMATerm is -1; it must be"),
        (dict(terms=[dict(TASK, weight=float("nan"))]), "weight of TaskLossTerm is nan"),
        (dict(terms=[TASK], clean_weight=-0.5), "clean_weight is -0.5"),
        (dict(terms=[dict(FMA, view="c")]), "no altered view 'c'. Those in views are: a, b"),
        (dict(terms=[dict(FMA, view="clean")]), "no altered view 'clean'"),
        (dict(terms=[dict(JSD, views=["a", "a"])]), "must name two views"),
        (dict(terms=[dict(type="FMATrem", weight=1, view="a")]), "Did you mean 'FMATerm'"),
        (dict(terms=[dict(type="FMATerm", weight=1)]), "FMATerm: .* 'view'"),
        (dict(terms=dict(FMA)), "terms is .*; it must be a list"),
        (dict(terms=[FMA, FMA]), "Two terms are FMATerm of the view a"),
        (dict(terms=[dict(STABILITY, distance="cosine")]), "distance is 'cosine'"),
        (dict(terms=[FMA], clean_weight=0), "nothing would train the head"),
        (dict(views=dict(clean=NOISE)), "No view may be called 'clean'"),
        (dict(views=[NOISE]), "it must name augmentations"),
        (dict(views=dict(a=dict(type="Gaussian"))), "Unknown augmentation 'Gaussian'"),
        (dict(views=dict(a=Resizes())), "Resizes of the view 'a' makes .* labels would not fit"),
        (dict(norm_statistics="shared"), "norm_statistics is 'shared'"),
        (dict(auxiliary_norm=["x"]), "no altered view 'x'"),
        (dict(auxiliary_norm="b"), "auxiliary_norm is 'b'; it must be a list"),
        (dict(seed=-1), "seed is -1"),
        (dict(channel_order="grb"), "channel_order is 'grb'"),
    ],
)
def test_bad_values_are_told_when_the_model_is_built(bad, message):
    with pytest.raises(InputError, match=message):
        build(multi_view(resnet_cfg(auxiliary_head=FCN), **views(**bad)))


class MasksHead(FCNHead):
    """A head with a loss of its own, as mask classification has."""

    def loss(self, inputs, batch_data_samples, train_cfg):
        return super().loss(inputs, batch_data_samples, train_cfg)


class NoNorms(torch.nn.Module):
    def forward(self, inputs):
        return [inputs]


def test_segmentors_that_cannot_be_trained_so_are_refused():
    def refused(message, cfg, **settings):
        with pytest.raises(InputError, match=message):
            build(multi_view(cfg, **views(**settings)))

    head = dict(FCN, type=MasksHead)
    refused("MasksHead predicts no logits", resnet_cfg(head), terms=[STABILITY])
    build(multi_view(resnet_cfg(head), **views(terms=[FMA, TASK])))
    cascade = resnet_cfg([head, dict(HEAD, type="mmseg.OCRHead", ocr_channels=4)], num_stages=2)
    refused("decode_0 is a MasksHead", cascade, terms=[TASK])
    single = dict(cascade, type="mmseg.EncoderDecoder")
    refused("use type='MultiViewCascadeEncoderDecoder'", single, terms=[TASK])
    grey = resnet_cfg(data_preprocessor=dict(still_cfg()["data_preprocessor"], mean=[1.0] * 4))
    refused("data_preprocessor.mean has 4 values", grey, terms=[TASK])
    bare = resnet_cfg(data_preprocessor=dict(type="BaseDataPreprocessor"))
    refused("behind the data preprocessor BaseDataPreprocessor", bare, terms=[TASK])
    plain = resnet_cfg(dict(FCN, norm_cfg=None), backbone=dict(type=NoNorms))
    plain["decode_head"].update(in_channels=3, in_index=0)
    refused("no batch norms to pair", plain, terms=[TASK], auxiliary_norm=["b"])
    refused("stage outputs of the backbone NoNorms are not known", plain, terms=[FMA])
