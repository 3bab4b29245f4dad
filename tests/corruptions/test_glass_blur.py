"""The batched glass blur against the loop over one image, with the same random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import SIZES, batch, picture, recorded, run, share_within_one

from mmseg_robust.corruptions import glass_blur_reference
from mmseg_robust.corruptions.glass_blur import DOUBLINGS, PARAMETERS, _origins, glass_blur
from mmseg_robust.corruptions.random import RandomFields

SEVERITIES = range(1, 6)


def in_places(drawn: list[np.ndarray], size: tuple[int, int], reach: int) -> torch.Tensor:
    """The reference's offsets, drawn in its order of visits: int32, (2, 1, passes, H, W)."""
    height, width = size
    visits = glass_blur_reference._visiting_order(height, width, reach)
    offsets = np.zeros((2, 1, len(drawn), height * width), np.int32)
    for turn, numbers in enumerate(drawn):
        across, down = numbers.T
        offsets[0, 0, turn, visits], offsets[1, 0, turn, visits] = down, across
    return torch.from_numpy(offsets.reshape(2, 1, -1, height, width))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_pictures_equal_the_reference(size: str, severity: int) -> None:
    image = picture(size)
    with recorded("randint") as drawn:
        theirs = run(image, "glass_blur", severity)
    offsets = in_places(drawn["randint"], image.shape[:2], PARAMETERS[severity - 1][1])
    ours = glass_blur.apply(batch(image), severity, *offsets)
    assert share_within_one(ours, theirs) >= 0.9999


@pytest.mark.parametrize("reach", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (130, 97)])
def test_origins_of_a_pass_are_exact(size: tuple[int, int], reach: int) -> None:
    random = np.random.default_rng(reach)
    visits = glass_blur_reference._visiting_order(*size, reach)
    area = size[0] * size[1]
    moves, expected = [], []
    for image in range(3):
        numbers = random.integers(-reach, reach, (len(visits), 2))
        moves.append(in_places([numbers], size, reach)[:, 0, 0])
        sources = visits + numbers[:, 1] * size[1] + numbers[:, 0]
        expected.append(glass_blur_reference._origins(visits, sources, area) + image * area)
    down, across = torch.stack(moves, dim=1)
    np.testing.assert_array_equal(_origins(down, across, reach), np.concatenate(expected))


def test_chains_are_followed_as_far_as_promised() -> None:
    length = 2**DOUBLINGS
    down = torch.zeros(1, 32, length + 40, dtype=torch.int32)
    across = torch.zeros_like(down)
    # Pixels 10 .. 10 + length of row 20 each copy their right neighbour.
    across[0, 20, 10 : 11 + length] = 1
    row = _origins(down, across, 2).view(down.shape)[0, 20] - 20 * down.shape[2]
    assert row[10:].tolist() == [11 + length] * (length + 2) + list(range(12 + length, length + 40))
    assert row[:10].tolist() == list(range(10))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_offsets_are_even_and_independent(severity: int) -> None:
    _, reach, passes = PARAMETERS[severity - 1]
    images = torch.zeros(2, 3, 193, 256, dtype=torch.uint8)
    fields = RandomFields([4, 5], "glass_blur", images.device)
    down, across = glass_blur.draw(images, severity, fields)
    assert down.shape == across.shape == (2, passes, 193, 256)
    values = torch.stack((down, across), dim=1).flatten(3)
    assert values.min() == -reach
    assert values.max() == reach - 1
    # Pairs of: rows and columns, an image and the next, a pixel and its right and lower neighbour.
    flat = values.flatten()
    pairs = [(down, across), (values[0], values[1]), (flat[:-1], flat[1:])]
    pairs += [(down[:, :, :-1], down[:, :, 1:]), (down[:, 1:], down[:, :-1])]
    for first, second in pairs:
        total = first.numel()
        cells = (2 * reach) ** 2
        joint = (first + reach) * 2 * reach + second + reach
        counts = torch.bincount(joint.flatten(), minlength=cells).double()
        squares = ((counts - total / cells) ** 2 / (max(total, 1) / cells)).sum()
        # Chi square of cells - 1 degrees of freedom has a deviation of sqrt(2 * (cells - 1)).
        assert squares < cells + 6 * (2 * cells) ** 0.5


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 97)])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_images_of_a_batch_do_not_mix(size: tuple[int, int], severity: int) -> None:
    height, width = size
    whole = picture("wide")
    images = batch(whole[:height, :width], whole[200 : 200 + height, 300 : 300 + width])
    together = glass_blur(images, severity, [1, 2])
    assert torch.equal(together[:1], glass_blur(images[:1], severity, 1))
    assert torch.equal(together[1:], glass_blur(images[1:], severity, 2))
