"""Counter-based random numbers: a value depends on its image's seed and its own place alone.

Number ``i`` of a field is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) at state
``key + (i + 1) * 0x9E3779B97F4A7C15 mod 2**64``: the state advances by an odd constant, so any
element can be made by itself, in any batch, order, process or device. ``key`` is 64 bits of SHA-256
over (seed, corruption, name of the field). No global random state is read or changed.

The integers are equal to the bit everywhere. Uniform numbers are integers times a power of two and
hence equal too; normal numbers pass through logarithm and cosine, whose last bit differs between
devices.
"""

from __future__ import annotations

import hashlib
import math
import os.path
from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_robust.corruptions import kernels
from mmseg_robust.corruptions.transfer import to_device

_MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
"""SplitMix64's increment, 2**64 divided by the golden ratio, odd."""
MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""SplitMix64's two multipliers."""
_UNIT = 2.0**-24


def hash_parts(*parts: object) -> int:
    """64 bits of SHA-256 over the parts' text (Python's own ``hash`` differs by process).

    Args:
        *parts (object): What the number shall depend on.

    Returns:
        int: In [0, 2**64).
    """
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def image_seed(base_seed: int, image_name: str) -> int:
    """One integer for an image, the same on every machine, worker and rank.

    Args:
        base_seed (int): Seed of the run.
        image_name (str): Path or name of the image. Folder and extension do not count, so that a
            copy in another place or format draws the same numbers.

    Returns:
        int: In [0, 2**63).
    """
    stem = os.path.splitext(os.path.basename(image_name))[0]
    return hash_parts(base_seed, stem) >> 1


def splitmix64(key: int, index: int) -> int:
    """Element ``index`` of the field of ``key``, in exact arithmetic on the host.

    Args:
        key (int): Key of a field, in [0, 2**64).
        index (int): Place in the field, from 0.

    Returns:
        int: In [0, 2**64).
    """
    z = (key + (index + 1) * GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * MULTIPLIERS[0]) & _MASK
    z = ((z ^ (z >> 27)) * MULTIPLIERS[1]) & _MASK
    return z ^ (z >> 31)


def signed(value: int) -> int:
    """The int64 that has the bits of an unsigned 64-bit number (torch computes with int64).

    Args:
        value (int): In [0, 2**64).

    Returns:
        int: In [-2**63, 2**63).
    """
    return value - (1 << 64) if value >> 63 else value


class RandomFields:
    """The random numbers of one corruption for a batch of images.

    They are the same at each severity, so that the severities of an image differ by their strength
    alone and a prediction that flips between two of them was flipped by it.

    Args:
        seeds (Sequence[int]): One integer an image, on the host.
        name (str): Name of the corruption.
        device (torch.device): Where fields are made.
    """

    def __init__(self, seeds: Sequence[int], name: str, device: torch.device) -> None:
        self.seeds = tuple(seeds)
        self.name = name
        self.device = device

    def keys(self, field: str) -> list[int]:
        """Keys of a field, one an image.

        Args:
            field (str): Name of the field, different for each use of random numbers.

        Returns:
            list[int]: N numbers in [0, 2**64).
        """
        return [hash_parts(seed, self.name, field) for seed in self.seeds]

    def device_keys(self, field: str) -> Tensor:
        """The keys of a field on the device, with the bits of unsigned numbers.

        Args:
            field (str): Name of the field.

        Returns:
            Tensor: int64, shape (N,).
        """
        return to_device([signed(key) for key in self.keys(field)], self.device, torch.int64)

    def scalars(self, field: str, count: int = 1) -> list[list[float]]:
        """A few uniform numbers an image, on the host, with 53 random bits.

        Args:
            field (str): Name of the field.
            count (int): Numbers an image. Defaults to 1.

        Returns:
            list[list[float]]: N lists of ``count`` numbers in [0, 1).
        """
        return [
            [(splitmix64(key, index) >> 11) * 2.0**-53 for index in range(count)]
            for key in self.keys(field)
        ]

    def bits(self, shape: Sequence[int], field: str) -> Tensor:
        """Random 64-bit integers.

        Args:
            shape (Sequence[int]): Shape of an image's field.
            field (str): Name of the field.

        Returns:
            Tensor: int64 with uniform bits, shape (N, *shape).
        """
        size = math.prod(shape)
        keys = self.device_keys(field)
        if kernels.usable(self.device):
            return kernels.random_bits(keys, size).view(len(keys), *shape)
        z = torch.arange(1, size + 1, device=self.device).mul_(signed(GOLDEN))
        z = z[None] + keys[:, None]
        for shift, factor in zip((30, 27), MULTIPLIERS):
            z.bitwise_xor_(_shifted(z, shift)).mul_(signed(factor))
        return z.bitwise_xor_(_shifted(z, 31)).view(len(keys), *shape)

    def uniform(self, shape: Sequence[int], field: str) -> Tensor:
        """Uniform numbers, multiples of 2**-24.

        Args:
            shape (Sequence[int]): Shape of an image's field.
            field (str): Name of the field.

        Returns:
            Tensor: float32 in [0, 1), shape (N, *shape).
        """
        if kernels.usable(self.device):
            keys = self.device_keys(field)
            return kernels.random_uniform(keys, math.prod(shape)).view(len(keys), *shape)
        return _upper_unit(self.bits(shape, field)).mul_(_UNIT)

    def normal(self, shape: Sequence[int], field: str) -> Tensor:
        """Standard normal numbers by Box and Muller's transform, at most 5.77 in size.

        Elements ``i`` and ``i + ceil(size / 2)`` share one 64-bit number.

        Args:
            shape (Sequence[int]): Shape of an image's field.
            field (str): Name of the field.

        Returns:
            Tensor: float32, shape (N, *shape).
        """
        size = math.prod(shape)
        if kernels.usable(self.device):
            keys = self.device_keys(field)
            return kernels.random_normal(keys, size).view(len(keys), *shape)
        bits = self.bits(((size + 1) // 2,), field)
        radius = _upper_unit(bits).add_(1).mul_(_UNIT).log_().mul_(-2).sqrt_()
        angle = _lower_unit(bits).mul_(_UNIT * 2 * math.pi)
        out = torch.cat((torch.cos(angle).mul_(radius), angle.sin_().mul_(radius)), dim=1)
        return out[:, :size].reshape(len(self.seeds), *shape)


def _shifted(z: Tensor, count: int) -> Tensor:
    """Logical shift to the right (torch's own keeps the sign)."""
    return (z >> count).bitwise_and_((1 << (64 - count)) - 1)


def _upper_unit(bits: Tensor) -> Tensor:
    """The upper 24 bits as float32."""
    return (bits >> 40).bitwise_and_(0xFFFFFF).to(torch.float32)


def _lower_unit(bits: Tensor) -> Tensor:
    """Bits 16 to 39 as float32."""
    return (bits >> 16).bitwise_and_(0xFFFFFF).to(torch.float32)
