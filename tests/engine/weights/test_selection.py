"""What counts as a weight, in each family of backbones."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from small_models import build_backbone, segformer_cfg
from torch import nn

import mmseg_robust  # noqa: F401
from mmseg_robust.engine.weights.selection import all_weights, select_weights
from mmseg_robust.errors import InputError


@pytest.fixture(autouse=True)
def scope():
    init_default_scope("mmseg")


def by_name(model):
    return {weight.name: weight for weight in all_weights(model)}


@pytest.mark.parametrize("name", ["mit", "swin", "resnet", "twins-svt", "convnext"])
def test_all_but_biases_and_the_like(name):
    """The complement, written out: what no weight may be, by the names of each family."""
    if name == "convnext":
        pytest.importorskip("mmpretrain")
    model = build_backbone(name)
    others = ("bias", "relative_position_bias_table", "gamma", "pos_embed", "cls_token")
    expected = [n for n, _ in model.named_parameters() if not n.endswith(others)]
    assert sorted(by_name(model)) == sorted(expected)
    named = dict(model.named_parameters())
    for weight in all_weights(model):
        assert named[weight.name] is weight.parameter
        assert any(weight.parameter is p for p in weight.module.parameters(recurse=False))


def test_the_projections_of_attention_are_linear_weights():
    """in_proj_weight is a bare parameter: a rule on modules named Linear would miss it."""
    found = by_name(build_backbone("mit"))
    projections = [name for name in found if name.endswith("attn.in_proj_weight")]
    assert len(projections) == 5, "one a block"
    assert {found[name].kind for name in projections} == {"linear"}
    assert isinstance(found[projections[0]].module, nn.MultiheadAttention)


def test_separate_projections_of_attention_are_linear_weights():
    attention = nn.MultiheadAttention(4, 2, kdim=6, vdim=8)
    assert set(by_name(attention)) == {
        "q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight",
    }  # fmt: skip


def test_the_tables_of_swin_are_none():
    model = build_backbone("swin")
    tables = [n for n, _ in model.named_parameters() if n.endswith("relative_position_bias_table")]
    assert len(tables) == 5
    assert not set(tables) & set(by_name(model))


def test_the_layer_scales_of_convnext_are_none():
    pytest.importorskip("mmpretrain")
    model = build_backbone("convnext")
    scales = [name for name, _ in model.named_parameters() if name.endswith("gamma")]
    assert len(scales) == 5
    assert not set(scales) & set(by_name(model))


def test_kinds():
    model = MODELS.build(segformer_cfg())
    kinds = {kind: select_weights(model, [kind]) for kind in ("conv", "linear", "norm")}
    assert sum(map(len, kinds.values())) == len(select_weights(model))
    assert {w.parameter.dim() for w in kinds["norm"]} == {1}
    assert {w.parameter.dim() for w in kinds["conv"]} == {4}
    assert {w.parameter.dim() for w in kinds["linear"]} == {2}


def test_a_shared_weight_comes_once():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    assert list(by_name(nn.Sequential(first, second))) == ["0.weight"]


def test_frozen_weights_are_not_selected_but_listed():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    model[0].weight.requires_grad_(False)
    assert list(by_name(model)) == ["0.weight", "1.weight"]
    assert [w.name for w in select_weights(model)] == ["1.weight"]


def test_norms_without_weights_are_passed():
    assert not by_name(nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.InstanceNorm2d(3)))


def test_filters():
    model = MODELS.build(segformer_cfg())
    head = select_weights(model, include=[r"^decode_head\."])
    assert {w.name.split(".")[0] for w in head} == {"decode_head"}
    rest = select_weights(model, exclude=[r"^decode_head\.", "norm"])
    assert not any("decode_head" in w.name or "norm" in w.name for w in rest)
    both = select_weights(model, ["conv"], [r"^decode_head\."], ["conv_seg"])
    assert {w.name for w in both} < {w.name for w in head}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(kinds=["dense"]), r"kinds=\['dense'\] must be a list .* conv, linear, norm"),
        (dict(kinds="conv"), "kinds='conv' must be a list"),
        (dict(kinds=[]), r"kinds=\[\] must be"),
        (dict(include="head"), "include='head' must be a list"),
        (dict(exclude=["("]), r"exclude: '\(' is no regular expression"),
        (dict(include=["heed"]), "include='heed' matches no trainable weight of kind conv"),
        (dict(exclude=["heed"]), r"exclude='heed' matches no .* there are: backbone\S+, .* more"),
        (dict(include=["head"], exclude=["head"]), "leave no trainable weight of EncoderDecoder"),
    ],
)
def test_wrong_filters(arguments, message):
    with pytest.raises(InputError, match=message):
        select_weights(MODELS.build(segformer_cfg()), **arguments)


def test_a_model_without_weights():
    with pytest.raises(InputError, match="there are: none"):
        select_weights(nn.ParameterList([nn.Parameter(torch.ones(3))]))
