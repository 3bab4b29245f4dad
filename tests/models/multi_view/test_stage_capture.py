"""Stage outputs for a loss term: what the stages return, channels second, before CWFA."""

from __future__ import annotations

import copy

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
import torch
from small_models import SMALL_BACKBONES, build_backbone

from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.attach import AttachedCWFA
from mmseg_robust.models.multi_view.stage_capture import StageCapture
from mmseg_robust.models.stage_outputs import find_stage_outputs

CHANNELS = {"NCHW": 1, "NLC": 2, "NHWC": 3, None: 1}


@pytest.mark.parametrize("name", SMALL_BACKBONES)
def test_reads_every_familys_stages_before_cwfa_shifts_them(name: str) -> None:
    if name == "convnext":
        pytest.importorskip("mmpretrain")
    backbone = build_backbone(name)
    seen = []
    outputs = find_stage_outputs(backbone)
    for output in outputs:
        output.module.register_forward_hook(lambda m, a, out: seen.append(out))
    attached = AttachedCWFA(backbone, 3.0, 1.0)
    attached.cwfa.advance(0, 0, True, "cpu")
    capture = StageCapture(backbone)
    image = torch.randn(2, 3, 64, 64)
    capture.start()
    backbone(image)
    maps = capture.take()
    assert len(maps) == len(seen) == 4
    for got, own, output in zip(maps, seen, outputs):
        assert torch.equal(got, own.movedim(CHANNELS[output.layout], 1))
        assert got.requires_grad
    backbone(image)
    with pytest.raises(InputError, match="was not called"):
        capture.take()  # nothing is kept unasked


def test_a_copy_reads_its_own_network() -> None:
    backbone = build_backbone("resnet")
    capture = StageCapture(backbone, stages=[1])
    twin, copied = copy.deepcopy((backbone, capture))
    copied.start()
    backbone(torch.randn(2, 3, 64, 64))
    with pytest.raises(InputError, match="'layer2' was not called"):
        copied.take()
    copied.start()
    twin(torch.randn(2, 3, 64, 64))
    assert copied.take()[0].shape[:2] == (2, 16)


def test_an_output_that_is_no_map_is_refused() -> None:
    class Pair(torch.nn.Module):
        def forward(self, x):
            return x, x

    net = torch.nn.Sequential(Pair(), torch.nn.Identity())
    capture = StageCapture(net, modules=["0"])
    capture.start()
    with pytest.raises(InputError, match=r"'0' returns tuple; a stage output is one tensor"):
        net(torch.zeros(1))
    capture = StageCapture(net, modules=["1"])
    capture.start()
    with pytest.raises(InputError, match="returns a tensor of 2 dimensions"):
        net[1](torch.zeros(1, 2))
