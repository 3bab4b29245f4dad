"""What holds for every corruption of the engine."""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from oracle import batch, picture
from torch import Tensor

from mmseg_robust.corruptions import ALL_NAMES, CORRUPTIONS, corrupt, frost, jpeg_tables, noise
from mmseg_robust.errors import InputError


def crops(height: int, width: int, count: int = 3) -> Tensor:
    """Different parts of a photograph: uint8, (count, 3, height, width)."""
    image = picture("wide")
    return batch(*(image[i * 9 : i * 9 + height, i * 30 : i * 30 + width] for i in range(count)))


def test_every_name_is_there() -> None:
    assert set(CORRUPTIONS) == set(ALL_NAMES)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_pixels_depend_on_image_cell_and_seed_alone(name: str) -> None:
    images, seeds = crops(70, 91), [7, 2**62, 11]
    for severity in (1, 5):
        together = corrupt(images, name, severity, seeds)
        assert together.shape == images.shape
        assert together.dtype == torch.uint8
        backwards = corrupt(images.flip(0), name, severity, seeds[::-1]).flip(0)
        assert torch.equal(together, backwards)
        for index, seed in enumerate(seeds):
            alone = corrupt(images[index : index + 1], name, severity, seed)
            assert torch.equal(alone[0], together[index])
        assert not torch.equal(together, images)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_inputs_of_any_layout_and_size(name: str) -> None:
    images = crops(64, 97)
    before = images.clone()
    expected = corrupt(images, name, 4, [1, 2, 3])
    assert torch.equal(images, before)
    channels_last = images.to(memory_format=torch.channels_last)
    result = corrupt(channels_last, name, 4, [1, 2, 3])
    assert torch.equal(result, expected)
    assert result.is_contiguous(memory_format=torch.channels_last)
    strided = torch.stack([images, images], dim=-1)[..., 0]
    assert torch.equal(corrupt(strided, name, 4, [1, 2, 3]), expected)
    for height, width in ((32, 32), (33, 47), (45, 32)):
        small = corrupt(crops(height, width, 1), name, 3, 5)
        assert small.shape == (1, 3, height, width)
    assert corrupt(images[:0], name, 3, []).shape == (0, 3, 64, 97)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_modes_of_torch_and_global_random_state_do_not_matter(name: str) -> None:
    images = crops(40, 52, 1)
    expected = corrupt(images, name, 3, 9)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(corrupt(images, name, 3, 9), expected)
    torch.manual_seed(123)
    assert torch.equal(corrupt(images, name, 3, 9), expected)
    torch.random.set_rng_state(states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]


@pytest.mark.parametrize("name", ALL_NAMES)
def test_the_number_of_threads_does_not_matter(name: str) -> None:
    images = crops(130, 211, 2)
    expected = corrupt(images, name, 3, [1, 2])
    before = torch.get_num_threads()
    try:
        for count in (2, 3):
            torch.set_num_threads(count)
            frost._scaled.cache_clear()
            assert torch.equal(corrupt(images, name, 3, [1, 2]), expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_torch_s_default_type_and_device_do_not_matter(name: str) -> None:
    images = crops(60, 81, 2)
    expected = corrupt(images, name, 3, [1, 2])
    for table in (frost._scaled, jpeg_tables.dct, jpeg_tables.quantisation, noise._poisson_table):
        table.cache_clear()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        result = corrupt(images, name, 3, [1, 2])
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(result, expected)


def test_a_corruption_shows_its_arguments_and_can_be_pickled() -> None:
    for corruption in CORRUPTIONS.values():
        assert list(inspect.signature(corruption).parameters) == ["images", "severity", "seeds"]
        assert pickle.loads(pickle.dumps(corruption)) is corruption


def test_numpy_s_integers_are_integers() -> None:
    images = crops(40, 52, 1)
    expected = corrupt(images, "gaussian_noise", 2, 7)
    assert torch.equal(corrupt(images, "gaussian_noise", np.int64(2), np.uint8(7)), expected)
    assert torch.equal(corrupt(images, "gaussian_noise", [np.int64(2)], np.array([7])), expected)


def test_severities_share_their_random_numbers() -> None:
    """So that what flips between two of them was flipped by the strength alone."""
    images = crops(40, 52, 1)
    weak, strong = (corrupt(images, "impulse_noise", severity, 5) for severity in (2, 4))
    hit = weak != images
    assert torch.equal(weak[hit], strong[hit])
    assert (strong != images).sum() > 1.5 * hit.sum()
    low, high = (
        corrupt(images, "gaussian_noise", severity, 5).double() - images for severity in (1, 3)
    )
    assert torch.corrcoef(torch.stack([low.flatten(), high.flatten()]))[0, 1] > 0.9


def test_severity_0_is_the_identity() -> None:
    images = crops(40, 52)
    for name in ALL_NAMES:
        result = corrupt(images, name, 0, [1, 2, 3])
        assert torch.equal(result, images)
        assert result.data_ptr() != images.data_ptr()


def test_a_batch_may_mix_cells() -> None:
    images = torch.cat([crops(48, 64), crops(48, 64)])
    names = ["fog", "gaussian_noise", "fog", "jpeg_compression", "fog", "snow"]
    severities, seeds = [3, 1, 3, 5, 2, 0], [1, 2, 3, 4, 5, 6]
    mixed = corrupt(images, names, severities, seeds)
    for index, cell in enumerate(zip(names, severities, seeds)):
        assert torch.equal(mixed[index], corrupt(images[index : index + 1], *cell)[0])


def test_64_images_at_once() -> None:
    images = crops(32, 32, 1).expand(64, -1, -1, -1)
    result = corrupt(images, "gaussian_noise", 3, range(64))
    assert len({image.numpy().tobytes() for image in result}) == 64


def digests() -> list[str]:
    """A digest of the pixels of each corruption."""
    images = crops(40, 52, 2)
    results = [corrupt(images, name, 3, [4, 5]) for name in ALL_NAMES]
    return [hashlib.sha256(pixels.numpy().tobytes()).hexdigest() for pixels in results]


def test_another_process_gives_the_same_pixels() -> None:
    # Without OpenMMLab, which takes longer to import than all the rest.
    code = (
        "import sys; sys.modules['mmengine'] = None; import test_engine as t; print(*t.digests())"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=__file__.rpartition("/")[0], capture_output=True,
        text=True, env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout.split() == digests(), done.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((None, "foq", 3, [1]), "Did you mean 'fog'"),
        ((None, "fog", 6, [1]), "0 \\(clean\\) to 5, got 6"),
        ((None, "fog", 2.0, [1]), "got 2.0"),
        ((None, "fog", True, [1]), "got True"),
        ((None, "fog", 3, [1, 2]), "1 images, 2 seeds"),
        ((None, "fog", 3, [1.5]), "must be an integer, got 1.5"),
        ((None, "fog", 3, 1.5), "must be an integer, got 1.5"),
        ((None, "fog", 3, None), "must be an integer, got None"),
        ((None, ["fog", "fog"], 3, [1]), "1 images, 2"),
        ((None, [["fog"]], 3, [1]), "Unknown corruption \\['fog'\\]"),
        ((None, "fog", np.array([3]), [1]), "got array"),
        ((torch.zeros(1, 3, 40, 40), "fog", 3, [1]), "Corrupt before normalising"),
        ((torch.zeros(3, 40, 40, dtype=torch.uint8), "fog", 3, [1]), "add a batch axis"),
        ((torch.zeros(1, 40, 40, 3, dtype=torch.uint8), "fog", 3, [1]), "permute"),
        ((torch.zeros(1, 3, 31, 40, dtype=torch.uint8), "fog", 3, [1]), "got 31 x 40"),
        ((np.zeros((1, 3, 40, 40), np.uint8), "fog", 3, [1]), "got ndarray"),
    ],
)
def test_bad_input_is_named(arguments: tuple, message: str) -> None:
    images = crops(40, 40, 1) if arguments[0] is None else arguments[0]
    with pytest.raises(InputError, match=message):
        corrupt(images, *arguments[1:])


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL_NAMES)
def test_cuda_equals_cpu(name: str) -> None:
    images, seeds = crops(301, 403, 2), [3, 2**60]
    for severity in range(1, 6):
        expected = corrupt(images, name, severity, seeds).int()
        result = corrupt(images.cuda(), name, severity, seeds)
        assert result.is_cuda
        share = ((result.cpu().int() - expected).abs() <= 1).float().mean()
        assert share >= 0.999, (severity, float(share))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL_NAMES)
def test_on_cuda_batch_mode_and_stream_do_not_matter(name: str) -> None:
    images, seeds = crops(130, 211, 3).cuda(), [7, 8, 9]
    expected = corrupt(images, name, 3, seeds)
    for index, seed in enumerate(seeds):
        assert torch.equal(corrupt(images[index : index + 1], name, 3, seed)[0], expected[index])
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.autocast("cuda"), torch.inference_mode():
        result = corrupt(images, name, 3, seeds)
    stream.synchronize()
    assert torch.equal(result, expected)
    channels_last = images.to(memory_format=torch.channels_last)
    assert torch.equal(corrupt(channels_last, name, 3, seeds), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL_NAMES)
def test_the_host_never_waits_for_cuda(name: str) -> None:
    images = crops(130, 211, 2).cuda()
    corrupt(images, name, 3, [1, 2])  # compiles kernels and fills tables
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        corrupt(images, name, 3, [3, 4])
    finally:
        torch.cuda.set_sync_debug_mode("default")
