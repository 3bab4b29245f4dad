"""Random fields: golden integers, independence, distribution."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from mmseg_robust.corruptions.random import RandomFields, image_seed, splitmix64

CPU = torch.device("cpu")
GOLDEN_BITS = "24ecd80a5cf3f45bb97ad7801b97358c2cbcc7696b6c25f88300ca88fe9bff0d"
GOLDEN_SEED = 6816750877583718129


def fields(*seeds: int, name: str = "fog") -> RandomFields:
    return RandomFields(seeds, name, CPU)


def test_splitmix64_gives_its_authors_numbers() -> None:
    """The first numbers of the public reference program, state 1234567."""
    expected = (
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    )
    assert tuple(splitmix64(1234567, index) for index in range(5)) == expected


def test_fields_are_splitmix64_at_their_keys() -> None:
    made = fields(4, 5)
    bits = made.bits((7, 3), "a").reshape(2, 21)
    for row, key in zip(bits.tolist(), made.keys("a")):
        assert [value % 2**64 for value in row] == [splitmix64(key, i) for i in range(21)]


def test_the_integers_never_change() -> None:
    """A result published with a seed must be made again by every later version."""
    bits = fields(0, 1, 2**62).bits((64, 64), "noise")
    assert hashlib.sha256(bits.numpy().tobytes()).hexdigest() == GOLDEN_BITS
    assert image_seed(0, "folder/frankfurt_000000_000294_leftImg8bit.png") == GOLDEN_SEED


def test_image_seed_knows_the_file_s_name_alone() -> None:
    assert image_seed(3, "a/b/c.png") == image_seed(3, "d/c.jpg")
    assert image_seed(3, "c.png") != image_seed(4, "c.png")
    assert 0 <= image_seed(3, "c.png") < 2**63


def test_every_part_of_a_key_matters() -> None:
    base = fields(1).bits((50,), "a")
    others = [
        fields(2).bits((50,), "a"),
        fields(1, name="snow").bits((50,), "a"),
        fields(1).bits((50,), "b"),
    ]
    assert all(not torch.isin(other, base).any() for other in others)


def test_uniform_numbers_fill_the_unit_interval_evenly() -> None:
    values = fields(1, 2).uniform((300, 400), "a")
    assert values.min() >= 0
    assert values.max() < 1
    counts = torch.histc(values, 64, 0, 1)
    expected = values.numel() / 64
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 5 * (2 * 63) ** 0.5


def test_normal_numbers_are_normal_and_uncorrelated() -> None:
    values = fields(1, 2).normal((301, 401), "a").double()
    size = values.numel()
    assert abs(values.mean()) < 4 / size**0.5
    assert abs(values.var() - 1) < 4 * (2 / size) ** 0.5
    assert abs((values**4).mean() - 3) < 4 * (96 / size) ** 0.5
    tail = (values.abs() > 3).double().mean()
    assert abs(tail - 0.0026998) < 4 * (0.0027 / size) ** 0.5
    for other in (values.roll(1, -1), values.roll(1, -2), values.flip(0), values.roll(150, -2)):
        assert abs((values * other).mean()) < 4 / size**0.5


def test_neighbouring_seeds_are_independent() -> None:
    values = RandomFields(range(64), "fog", CPU).normal((4096,), "a").double()
    correlation = values @ values.T / 4096
    correlation.fill_diagonal_(0)
    assert correlation.abs().max() < 5 / 64


def test_scalars_are_even() -> None:
    values = np.array(RandomFields(range(2000), "fog", CPU).scalars("angle", 2))
    assert values.shape == (2000, 2)
    assert abs(values.mean(0) - 0.5).max() < 4 / (12 * 2000) ** 0.5
    assert abs(np.corrcoef(values.T)[0, 1]) < 4 / 2000**0.5


@pytest.mark.gpu
def test_cuda_gives_the_same_integers() -> None:
    cpu, cuda = fields(1, 2), RandomFields((1, 2), "fog", torch.device("cuda"))
    for shape in ((3, 101, 67), (1,), (5000,)):
        assert torch.equal(cuda.bits(shape, "a").cpu(), cpu.bits(shape, "a"))
        assert torch.equal(cuda.uniform(shape, "a").cpu(), cpu.uniform(shape, "a"))
        assert (cuda.normal(shape, "a").cpu() - cpu.normal(shape, "a")).abs().max() < 1e-3
