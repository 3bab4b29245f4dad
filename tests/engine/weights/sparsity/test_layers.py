"""What is selected, and the table."""

import mmseg_robust  # noqa: F401  # isort: skip  (mends what mmseg needs)
import pytest
from mmseg.registry import MODELS
from small_models import segformer_cfg
from sparse_reference import settings
from torch import nn

from mmseg_robust.engine.weights.sparsity.densities import Layer
from mmseg_robust.engine.weights.sparsity.layers import density_table, select_layers
from mmseg_robust.errors import InputError


@pytest.fixture(scope="module")
def segformer():
    return MODELS.build(segformer_cfg())


def selected(model, **changes):
    return [layer.name for layer in select_layers(model, settings("rigl", **changes))[1]]


def test_convolutions_and_linear_layers_but_depthwise_and_classifier(segformer):
    names = selected(segformer)
    assert "backbone.layers.0.1.0.attn.attn.in_proj_weight" in names
    assert "decode_head.fusion_conv.conv.weight" in names
    modules = dict(segformer.named_modules())
    depthwise = [f"{n}.weight" for n, m in modules.items() if getattr(m, "groups", 1) > 1]
    assert len(depthwise) == 5
    assert not set(depthwise) & set(names)
    assert not any("conv_seg" in name or "bias" in name or ".bn." in name for name in names)
    assert len(names) == 33


def test_filters_of_the_user_replace_the_default(segformer):
    assert "decode_head.conv_seg.weight" in selected(segformer, exclude=())
    only = selected(segformer, include=["backbone"], exclude=[r"\.attn\."])
    assert only and all("backbone" in name and ".attn." not in name for name in only)
    with pytest.raises(InputError, match="exclude='nowhere' matches no trainable weight"):
        selected(segformer, exclude=["nowhere"])
    with pytest.raises(InputError, match="depthwise"):
        selected(segformer, include=[r"ffn\.layers\.1\.weight"])


def test_heads_for_training_alone_and_classifiers_stay_dense():
    model = nn.ModuleDict(
        dict(
            backbone=nn.Conv2d(3, 8, 3),
            auxiliary_head=nn.Conv2d(8, 8, 3),
            head=nn.ModuleDict(dict(fc=nn.Linear(8, 4))),
        )
    )
    assert selected(model) == ["backbone.weight"]


def test_the_models_first_layer_is_dense_under_uniform_alone(segformer):
    def dense(**changes):
        layers = select_layers(segformer, settings("rigl", **changes))[1]
        return [layer.name for layer in layers if layer.always_dense]

    assert dense(distribution="uniform") == ["backbone.layers.0.0.projection.weight"]
    assert dense(distribution="erk") == []
    # The first layer is that of the model, not that of the selection.
    assert dense(distribution="uniform", include=["decode_head"]) == []


def test_table():
    layers = [Layer("a.weight", (1000, 2)), Layer("longer.name.weight", (4, 3, 1, 1))]
    assert density_table(layers, [1500, 3]).splitlines() == [
        "layer               shape    weights  active  density",
        "a.weight            1000x2     2,000   1,500   0.7500",
        "longer.name.weight  4x3x1x1       12       3   0.2500",
        "all 2 layers                   2,012   1,503   0.7470",
    ]
