"""Views that depend on which classes an image shows: labels in, refusals, whole steps."""

from __future__ import annotations

import copy
from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
import torch
from mmengine.logging import MMLogger
from multi_view_runs import (
    FCN,
    HEAD,
    NOISE,
    batch,
    build,
    gradients,
    losses_of,
    resnet_cfg,
    still_cfg,
)
from small_maps import made, random_maps
from torch import nn

from mmseg_robust.augmentations import DominantFrequencies, classes_in
from mmseg_robust.corruptions.random import hash_parts
from mmseg_robust.errors import InputError

TASK = dict(type="TaskLossTerm", weight=1.0, view="filtered")


def dfmx(count: int = 4, side: int = 16, **changes: Any) -> dict[str, Any]:
    """Settings of a training on filtered images alone."""
    augment = DominantFrequencies(made(random_maps(count, side, side), **changes), 0.7)
    return dict(views=dict(filtered=augment), terms=[TASK], clean_weight=0.0)


def halves(count: int = 6) -> dict[str, Any]:
    """A batch whose label maps hold two of four classes."""
    data = batch(count)
    for index, sample in enumerate(data["data_samples"]):
        sample.gt_sem_seg.data[:, 5:] = torch.where(
            sample.gt_sem_seg.data[:, 5:] > 1, index % 4, (index + 1) % 4
        )
    return data


def test_a_segmentor_s_views_are_the_augmentation_s() -> None:
    model = build(still_cfg(**dfmx(), seed=5))
    data = halves()
    ready = model.data_preprocessor(data, True)
    drawn = model.multi_view.draw(model, ready["inputs"], ready["data_samples"])
    labels = torch.stack([sample.gt_sem_seg.data for sample in ready["data_samples"]])
    present = classes_in(labels, 4)
    assert present.sum(1).min() < 4
    images = torch.stack(data["inputs"]).flip(1).float()  # BGR to RGB
    seeds = [hash_parts(5, 0, 0, "filtered", place) for place in range(6)]
    altered = dfmx()["views"]["filtered"](images, seeds, present)
    assert 0 < sum(torch.equal(*pair) for pair in zip(altered, images)) < 6
    preprocess = model.data_preprocessor
    expected = (altered - preprocess.mean) / preprocess.std
    torch.testing.assert_close(drawn, expected, rtol=1e-4, atol=1e-4)


def test_a_step_is_a_stock_one_on_the_filtered_images() -> None:
    model, stock = build(still_cfg(**dfmx())), build(still_cfg())
    stock.load_state_dict(model.state_dict())
    data = halves()
    loss, log = losses_of(model, copy.deepcopy(data))
    ready = stock.data_preprocessor(data, True)
    again = build(still_cfg(**dfmx()))
    drawn = again.multi_view.draw(again, ready["inputs"], ready["data_samples"])
    assert not torch.equal(drawn, ready["inputs"])
    expected, _ = stock.parse_losses(stock(drawn, ready["data_samples"], mode="loss"))
    assert torch.equal(loss, expected)
    found, wanted = gradients(model, loss), gradients(stock, expected)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert "filtered.decode.loss_ce" in log and "decode.loss_ce" not in log


def test_the_log_tells_where_the_maps_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    logger = MMLogger.get_instance("labelled-views")
    monkeypatch.setattr(logger, "handle", lambda record: lines.append(record.getMessage()))
    losses_of(build(still_cfg(**dfmx(found=(True, False, True, True)))), batch())
    (line,) = (line for line in lines if "DominantFrequencies(" in line)
    assert "View 'filtered'" in line
    assert "segmentation maps of 4 classes, 16 x 16, without one: class 1" in line
    assert "{'data': 'made up'}" in line


def test_maps_larger_than_the_probe_and_images_smaller_than_the_maps() -> None:
    with pytest.raises(InputError, match=r"32 x 32 pixels are smaller .* maps of 50 x 50"):
        losses_of(build(still_cfg(**dfmx(side=50))), batch())


def test_a_member_of_combined_augmentations() -> None:
    settings = dfmx()
    members = [settings["views"]["filtered"], NOISE]
    settings["views"] = dict(filtered=dict(type="CombinedAugmentations", members=members))
    loss, _ = losses_of(build(still_cfg(**settings)), batch(4))
    assert loss.isfinite()


def test_a_sigmoid_over_one_channel_has_two_classes() -> None:
    head = dict(FCN, num_classes=2, out_channels=1, threshold=0.5)
    head["loss_decode"] = dict(type="mmseg.CrossEntropyLoss", use_sigmoid=True)
    model = build(resnet_cfg(head, type="mmseg.MultiViewEncoderDecoder", **dfmx(2)))
    assert model.class_count == 2


def test_a_cascade_asks_the_head_that_predicts() -> None:
    heads = [dict(FCN, num_classes=3), dict(HEAD, type="mmseg.OCRHead", ocr_channels=4)]
    cascade = resnet_cfg(heads, num_stages=2)
    model = build(dict(cascade, type="mmseg.MultiViewCascadeEncoderDecoder", **dfmx()))
    assert model.class_count == 4


class Nameless(nn.Module):
    """A head that does not say how many classes there are."""


@pytest.mark.parametrize("count", [3, 5])
def test_maps_of_another_number_of_classes_are_refused_when_the_model_is_built(count: int) -> None:
    with pytest.raises(InputError, match=f"those of {count} classes, here are 4"):
        build(still_cfg(**dfmx(count)))


def test_a_head_that_knows_no_classes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmseg_robust.models.segmentors.multi_view import MultiViewSegmentor

    heads = [("decode", Nameless())]
    monkeypatch.setattr(MultiViewSegmentor, "named_decode_heads", lambda self: heads)
    build(still_cfg(views=dict(a=NOISE)))
    with pytest.raises(InputError, match=r"view 'filtered' reads labels, but .* no num_classes"):
        build(still_cfg(**dfmx()))


@pytest.mark.gpu
def test_the_host_does_not_wait_for_labels_or_maps() -> None:
    model = build(still_cfg(**dfmx())).cuda()
    ready = model.data_preprocessor(halves(), True)
    views = []
    for mode in ("default", "error"):  # the first step puts the maps on the device
        torch.cuda.set_sync_debug_mode(mode)
        try:
            views.append(model.multi_view.draw(model, ready["inputs"], ready["data_samples"]))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert not torch.equal(*views)  # another iteration
