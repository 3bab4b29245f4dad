"""Views of a batch: right pixels, right seeds, nothing else touched."""

from __future__ import annotations

import itertools
from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
import torch
from mmengine.logging import MessageHub
from mmseg.models import SegDataPreProcessor
from multi_view_runs import NOISE, Shift
from torch import Tensor

from mmseg_robust.augmentations import BatchAugmentation, GaussianNoise
from mmseg_robust.corruptions.random import hash_parts
from mmseg_robust.errors import InputError
from mmseg_robust.models.multi_view import views as module
from mmseg_robust.models.multi_view.pixels import PixelSpace
from mmseg_robust.models.multi_view.views import Views

NAMES = (f"views-{number}" for number in itertools.count())
RANGE = dict(mean=[100.0, 110.0, 120.0], std=[50.0, 55.0, 60.0])


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> MessageHub:
    """A message hub that no run has written to."""
    hub = MessageHub(next(NAMES))
    monkeypatch.setattr(MessageHub, "get_current_instance", classmethod(lambda cls: hub))
    return hub


def preprocessor(**changes: Any) -> SegDataPreProcessor:
    return SegDataPreProcessor(**dict(dict(RANGE, bgr_to_rgb=True, size=(40, 48)), **changes))


class Red(BatchAugmentation):
    """Empties all channels but red."""

    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        return images * torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)


def images(count: int = 2) -> list[Tensor]:
    """As a pipeline gives them, uint8, with a channel order that is the pipeline's."""
    generator = torch.Generator().manual_seed(0)
    size = (count, 3, 40, 48)
    return list(torch.randint(0, 256, size, generator=generator, dtype=torch.uint8))


def inputs_of(preprocess: SegDataPreProcessor, raw: list[Tensor]) -> Tensor:
    return preprocess(dict(inputs=raw), training=False)["inputs"]


@pytest.mark.parametrize("order", ["bgr", "rgb"])
@pytest.mark.parametrize(
    "settings",
    [dict(), dict(bgr_to_rgb=False), dict(bgr_to_rgb=False, rgb_to_bgr=True),
     dict(mean=None, std=None)],
)  # fmt: skip
def test_augmentations_see_rgb_and_the_model_gets_its_own_order(order: str, settings: dict) -> None:
    """As if the pipeline's images had been altered before the preprocessor."""
    preprocess = preprocessor(**settings)
    drawing = Views(dict(red=Red()), PixelSpace(preprocess, order), 0)
    raw = images()
    out = drawing.draw(["clean", "red"], inputs_of(preprocess, raw), preprocess)
    keep = torch.tensor([0, 0, 1] if order == "bgr" else [1, 0, 0]).view(3, 1, 1)
    altered = [image * keep.to(torch.uint8) for image in raw]
    expected = torch.cat([inputs_of(preprocess, raw), inputs_of(preprocess, altered)])
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(out[:2], expected[:2])


def test_padding_is_left_alone() -> None:
    preprocess = preprocessor()
    drawing = Views(dict(a=Shift(50)), PixelSpace(preprocess), 0)
    inputs = inputs_of(preprocess, images(3))
    sizes = [(40, 48), (30, 48), (25, 10)]
    view = drawing.draw(["a"], inputs, preprocess, sizes)
    for image, clean, (height, width) in zip(view, inputs, sizes):
        inside = torch.zeros(40, 48, dtype=torch.bool)
        inside[:height, :width] = True
        assert torch.equal(image[:, ~inside], clean[:, ~inside])
        assert (image != clean)[:, inside].double().mean() > 0.7  # all but what was near white
    whole = drawing.draw(["a"], inputs, preprocess, [(40, 48)] * 3)
    assert torch.equal(whole, drawing.draw(["a"], inputs, preprocess))


def test_seeds_come_from_seed_rank_iteration_view_and_place(hub, monkeypatch) -> None:
    seen: list[list[int]] = []

    class Watch(Shift):
        def __call__(self, images: Tensor, seeds: Any) -> Tensor:
            seen.append(list(seeds))
            return super().__call__(images, seeds)

    preprocess = preprocessor()
    drawing = Views(dict(a=Watch(), b=Watch()), PixelSpace(preprocess), 7)
    seen.clear()  # of the check when it was built
    inputs = inputs_of(preprocess, images())
    state = torch.get_rng_state()
    for iteration in (0, 1):  # without a run: the number of calls
        drawing.draw(["a", "b"], inputs, preprocess)
        for view in "ab":
            assert seen.pop(0) == [hash_parts(7, 0, iteration, view, place) for place in (0, 1)]
    hub.update_info("iter", 40)
    hub.update_info("loop_stage", "train")
    monkeypatch.setattr(module, "get_rank", lambda: 3)
    drawing.draw(["b"], inputs, preprocess)
    assert seen.pop(0) == [hash_parts(7, 3, 40, "b", place) for place in (0, 1)]
    assert torch.equal(torch.get_rng_state(), state)


def test_the_type_of_the_inputs_is_kept() -> None:
    preprocess = preprocessor().double()
    drawing = Views(dict(a=NOISE), PixelSpace(preprocess), 0)
    inputs = inputs_of(preprocess, images())
    assert inputs.dtype == torch.float64
    assert drawing.draw(["clean", "a"], inputs, preprocess).dtype == torch.float64


def test_autocast_does_not_act_on_views() -> None:
    preprocess = preprocessor()
    blur = dict(type="GaussianBlur", sigma=1.0)
    results = []
    for enabled in (False, True):
        drawing = Views(dict(a=blur), PixelSpace(preprocess), 0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            results.append(drawing.draw(["a"], inputs_of(preprocess, images()), preprocess))
    assert torch.equal(*results)


class Whitens(BatchAugmentation):
    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        return images + 100


class Halves(BatchAugmentation):
    def augment(self, images: Tensor, seeds: tuple[int, ...]) -> Tensor:
        return images.half()


@pytest.mark.parametrize(
    ("bad", "message"),
    [(Whitens(), "leaves the range 0..255"), (Halves(), "returns torch.float16")],
)
def test_augmentations_that_break_the_contract_are_refused(bad: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Views(dict(a=bad), PixelSpace(preprocessor()), 0)


def test_an_augmentation_may_be_given_built() -> None:
    built = GaussianNoise(sigma=0.2)
    drawing = Views(dict(a=built), PixelSpace(preprocessor()), 0)
    assert drawing.augmentations["a"] is built


def test_inputs_of_other_channels_are_refused() -> None:
    preprocess = preprocessor(mean=None, std=None)
    drawing = Views(dict(a=NOISE), PixelSpace(preprocess), 0)
    with pytest.raises(InputError, match=r"inputs have shape \(2, 6, 8, 8\)"):
        drawing.draw(["a"], torch.zeros(2, 6, 8, 8), preprocess)
