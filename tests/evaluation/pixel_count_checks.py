"""The fused counts beside the plain ones; run as a script, in Triton's interpreter on the CPU."""

from __future__ import annotations

from unittest import mock

import numpy as np
import torch

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.evaluation import kernels, pixel_counts
from mmseg_robust.evaluation.pass_counts import PassCounter
from mmseg_robust.evaluation.pixel_counts import PassMaps, count_pass, counts_of, row_size

MOVED = 2e-5
"""Share of pixels that may lie in the neighbouring bin of confidence: libraries and GPUs round
powers of two differently, by 2e-7 of the value, and there are 240 edges."""

INF, NAN = float("inf"), float("nan")


def random_pass(
    classes: int, shape: tuple[int, int], seed: int = 0, kinds: int | None = None
) -> tuple[PassMaps, torch.Tensor]:
    """Maps with labels of all kinds, and logits of the classes or of another number of them."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(kinds or classes, *shape, generator=generator)
    prediction = logits.argmax(0).flatten()
    pixels = prediction.numel()
    label = torch.randint(0, classes + 2, (pixels,), generator=generator)
    label = torch.where(torch.rand(pixels, generator=generator) < 0.4, prediction, label)
    label[::5] = 255
    flipped = torch.rand(pixels, generator=generator) < 0.3
    return PassMaps(prediction, label, torch.where(flipped, 0, prediction)), logits


def both(
    maps: PassMaps, logits: torch.Tensor, classes: int, device: torch.device, ignored: int = 255
) -> tuple[torch.Tensor, torch.Tensor]:
    """Row of the plain form, on the CPU, and of the kernel."""
    plain = torch.zeros(row_size(classes), dtype=torch.int32)
    fused = plain.to(device)
    with mock.patch.object(pixel_counts, "usable", lambda device: False):
        count_pass(plain, maps, logits, classes, ignored)
    there = PassMaps(*(values.to(device) for values in maps))
    kernels.count_pass(fused, there, logits.to(device), classes, ignored)
    return plain, fused.cpu()


def moved(plain: torch.Tensor, fused: torch.Tensor, classes: int) -> int:
    """Pixels that lie in the neighbouring bin of confidence; everything else must be equal."""
    one, other = counts_of(plain, classes), counts_of(fused, classes)
    apart = (one.confidence - other.confidence).cumsum(-1)
    assert not apart[:, -1].any(), "wrong and right pixels"
    assert torch.equal(one.table, other.table)
    assert torch.equal(one.flips, other.flips)
    assert torch.equal(one.nan, other.nan)
    return int(apart.abs().sum())


def check_random(device: torch.device) -> None:
    # No block divides the sizes, and the table of 150 classes is too large for one program.
    full, half, short = torch.float32, torch.float16, torch.bfloat16
    for classes, shape, dtypes in (
        (2, (29, 71), [full, half, short]),
        (11, (50, 41), [short]),
        (19, (33, 35), [full, half]),
        (150, (31, 37), [full]),
    ):
        maps, logits = random_pass(classes, shape)
        for dtype in dtypes:
            plain, fused = both(maps, logits.to(dtype), classes, device)
            assert moved(plain, fused, classes) <= max(1, MOVED * maps.label.numel())


def check_ties(device: torch.device) -> None:
    """Confidence of one over a whole number is exact, many of them at the edge of a bin."""
    for classes in (2, 19):
        maps, logits = random_pass(classes, (17, 61))
        places = torch.arange(17 * 61).view(17, 61) % classes
        ranks = torch.arange(classes)[:, None, None]
        logits = torch.where(ranks <= places, 1.5, torch.where(ranks % 2 == 0, -INF, -300.0))
        maps = maps._replace(prediction=logits.argmax(0).flatten())
        plain, fused = both(maps, logits, classes, device)
        assert torch.equal(plain, fused)
        assert len(counts_of(plain, classes).confidence.sum(0).nonzero()) == classes


def check_numbers_that_are_none(device: torch.device) -> None:
    for value in (NAN, INF, -INF):
        maps, logits = random_pass(3, (4, 9))
        logits = logits.round() * 40  # far apart: nothing near the edge of a bin
        logits[1, 2, 3] = value
        logits[:, 3, 3] = value
        for dtype in (torch.float32, torch.float16):
            plain, fused = both(maps, logits.to(dtype), 3, device)
            assert torch.equal(plain, fused)
            assert bool(counts_of(fused, 3).nan) == (value != value)
    maps, logits = random_pass(3, (4, 9))
    logits = logits.round() * 40
    logits[2, 0, 0] = NAN  # where the label is ignored
    assert maps.label[0] == 255 and counts_of(both(maps, logits, 3, device)[1], 3).nan == 1


def check_integers(device: torch.device) -> None:
    """Maps of all types, and numbers that are no class, however far outside."""
    maps, logits = random_pass(5, (13, 11))
    far = torch.tensor([-1, 5, 6, 254, 2**33 + 2, -(2**40), 2**62])
    maps.label[1:8] = far
    maps.prediction[8:15] = far
    for ignored in (255, 0, -1, 2**33 + 2):
        plain, fused = both(maps, logits, 5, device, ignored)
        assert moved(plain, fused, 5) <= 1
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        cut = PassMaps(*(values.to(dtype) for values in maps))
        for mixed in (cut, maps._replace(label=cut.label), maps._replace(weaker=cut.weaker)):
            plain, fused = both(mixed, logits, 5, device)
            assert moved(plain, fused, 5) <= 1


def check_sizes(device: torch.device) -> None:
    for pixels in (1, kernels.BLOCK - 1, kernels.BLOCK, kernels.BLOCK + 1):
        maps, logits = random_pass(3, (1, pixels))
        assert moved(*both(maps, logits, 3, device), 3) <= 1
    for classes, kinds in ((19, 5), (5, 19)):  # a model with another number of classes
        maps, logits = random_pass(classes, (9, 9), kinds=kinds)
        assert moved(*both(maps, logits, classes, device), classes) <= 1


def check_layouts(device: torch.device) -> None:
    maps, logits = random_pass(7, (21, 23))
    expected = both(maps, logits, 7, device)[1]
    last = logits.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    cropped = torch.nn.functional.pad(logits, (1, 2, 3, 4))[:, 3:-4, 1:-2]
    apart = PassMaps(*(torch.stack([values, values], 1)[:, 0] for values in maps))
    for form, kind in ((last, maps), (cropped, maps), (logits, apart)):
        assert torch.equal(both(kind, form, 7, device)[1], expected)


def check_counter(device: torch.device) -> None:
    """All passes of an image through the counter, with and without the kernel."""
    protocol = get_protocol("demo")
    found = []
    for place, fused in ((torch.device("cpu"), False), (device, True)):
        counter = PassCounter("a", protocol.passes, 4, 255)
        with mock.patch.object(pixel_counts, "usable", lambda device, fused=fused: fused):
            for index in range(len(protocol.passes)):
                maps, logits = random_pass(4, (13, 17), seed=index)
                sample = {
                    "img_path": "a.png",
                    "gt_sem_seg": {"data": random_pass(4, (13, 17))[0].label.view(1, 13, 17)},
                    "pred_sem_seg": {"data": maps.prediction.view(1, 13, 17).to(place)},
                    "seg_logits": {"data": logits.to(place)},
                }
                counter.add(index, sample)
        found.append(counter.finish().wait())
    for name in ("confusion", "nan", "flips"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name))
    apart = (found[0].confidence - found[1].confidence).cumsum(-1)
    assert np.abs(apart).sum() <= 1 and found[1].flips[1:, 0].all()


CHECKS = (
    check_random,
    check_ties,
    check_numbers_that_are_none,
    check_integers,
    check_sizes,
    check_layouts,
    check_counter,
)

if __name__ == "__main__":
    for check in CHECKS:
        check(torch.device("cpu"))
        print(check.__name__)
