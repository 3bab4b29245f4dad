"""Stage outputs of the stock backbones: what is done to one reaches the head and the next stage."""

import pytest
import torch
import torch.nn as nn
from mmseg.registry import MODELS
from small_models import SMALL_BACKBONES, build_backbone

from mmseg_robust.errors import InputError
from mmseg_robust.models.stage_outputs import find_stage_outputs


@pytest.mark.parametrize("name", SMALL_BACKBONES)
def test_a_shift_of_a_stage_output_reaches_the_head_and_all_later_stages(name):
    backbone = build_backbone(name, training=False)
    image = torch.randn(1, 3, 64, 64)
    outputs = find_stage_outputs(backbone)
    assert len(outputs) == 4
    with torch.no_grad():
        stock = backbone(image)
        for i, out in enumerate(outputs):
            seen = []

            def shift(module, args, output, seen=seen):
                seen.append(output)
                return output + torch.randn_like(output)

            handle = out.module.register_forward_hook(shift)
            changed = backbone(image)
            handle.remove()
            assert len(seen) == 1, "the module runs once a pass"
            assert (seen[0].dim() == 3) == (out.layout == "NLC")
            equal = [torch.equal(a, b) for a, b in zip(stock, changed)]
            assert equal == [j < i for j in range(4)]


@pytest.mark.parametrize("name", ["mit", "twins-svt", "resnet"])
def test_the_stage_output_is_what_the_head_gets(name):
    """Where no norm stands between, the backbone returns the very stage outputs."""
    backbone = build_backbone(name, training=False)
    seen = []
    for out in find_stage_outputs(backbone):
        out.module.register_forward_hook(lambda module, args, output: seen.append(output))
    with torch.no_grad():
        returned = backbone(torch.randn(1, 3, 64, 96))
    for stage, features in zip(seen, returned):
        if stage.dim() == 3:
            stage = stage.transpose(1, 2).reshape(features.shape)
        assert torch.equal(stage, features)


def test_twins_stage_of_one_block_ends_with_its_position_encoding():
    backbone = MODELS.build(
        dict(
            type='PCPVT', embed_dims=[8, 8, 16, 16], num_heads=[1, 1, 2, 2], depths=[1, 2, 1, 2],
            mlp_ratios=[2, 2, 2, 2], norm_after_stage=False,
        )
    )  # fmt: skip
    paths = [out.path for out in find_stage_outputs(backbone)]
    assert paths == ["position_encodings.0", "layers.1.1", "position_encodings.2", "layers.3.1"]


def test_paths_start_at_the_given_model_and_stages_select():
    model = nn.Module()
    model.backbone = build_backbone("mit")
    outputs = find_stage_outputs(model, stages=[3, 1])
    assert [out.path for out in outputs] == ["backbone.layers.3.2", "backbone.layers.1.2"]
    assert outputs[0].module is model.get_submodule("backbone.layers.3.2")


def test_unknown_backbone_lists_what_is_known_and_how_to_name_modules():
    model = nn.Module()
    model.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(InputError) as error:
        find_stage_outputs(model)
    for part in ("Sequential", "MixVisionTransformer", "ResNet", "modules=['backbone.stage1'"):
        assert part in str(error.value)
    named = find_stage_outputs(
        model, modules=["backbone.0", dict(path="backbone.1", layout="NHWC")]
    )
    assert [(out.path, out.layout) for out in named] == [
        ("backbone.0", None),
        ("backbone.1", "NHWC"),
    ]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (dict(stages=[4]), r"Stage index 4 is out of range: the backbone has 4 stages, 0 to 3"),
        (dict(stages=[-1]), "Stage index -1 is out of range"),
        (dict(stages=[1, 1]), "twice"),
        (dict(stages=[]), "must be a list of stage indexes"),
        (dict(stages="0"), "must be a list of stage indexes"),
        (dict(stages=[True]), "must be a list of stage indexes"),
        (dict(modules=["layers.9"]), r"no module 'layers.9'. Did you mean 'layers"),
        (dict(modules=[]), "at least one module path"),
        (dict(modules="layers.0"), "at least one module path"),
        (dict(modules=[dict(path="layers.0", layout="CHW")]), "layout 'CHW'"),
        (dict(modules=[dict(layout="NLC")]), "no module None"),
    ],
)
def test_bad_values(kwargs, message):
    with pytest.raises(InputError, match=message):
        find_stage_outputs(build_backbone("mit"), **kwargs)


def test_a_backbone_without_stages():
    empty = build_backbone("mit")
    empty.layers = nn.ModuleList()
    with pytest.raises(InputError, match="has no stages"):
        find_stage_outputs(empty)
