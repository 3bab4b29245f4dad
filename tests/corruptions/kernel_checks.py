"""Each fused kernel beside its plain twin; run as a script, in Triton's interpreter on the CPU."""

from __future__ import annotations

import torch

from mmseg_robust.corruptions import blur, defocus, elastic, filters, kernels
from mmseg_robust.corruptions.pixels import to_float, to_uint8
from mmseg_robust.corruptions.random import RandomFields

CPU = torch.device("cpu")


def pictures(count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 33, 41), generator=generator, dtype=torch.uint8)


def check_random(device: torch.device) -> None:
    fields = RandomFields([1, 2**62], "fog", CPU)
    keys = fields.device_keys("a").to(device)
    for size in (1, 3001):
        assert torch.equal(kernels.random_bits(keys, size).cpu(), fields.bits((size,), "a"))
        uniform = kernels.random_uniform(keys, size).cpu()
        assert torch.equal(uniform, fields.uniform((size,), "a"))
        normal = kernels.random_normal(keys, size).cpu()
        assert (normal - fields.normal((size,), "a")).abs().max() < 1e-3


def check_convolve(device: torch.device) -> None:
    planes = to_float(pictures())[:, :2]
    taps = (0.1, 0.2, 0.3, 0.15, 0.05, 0.15, 0.05)
    for border in filters.BORDERS:
        for axis in (-1, -2):
            weights = torch.tensor(taps, device=device)
            fused = kernels.convolve(planes.to(device), weights, axis, border)
            plain = filters.convolve(planes, taps, axis, border)
            assert (fused.cpu() - plain).abs().max() < 1e-3


def check_correlate(device: torch.device) -> None:
    images = pictures(2)[:, :2]
    own = [[(0, 1, 0.5), (2, -3, 0.25)], [(-4, 1, 1.0)]]
    shared = [defocus.disk_taps(3, 0.1)[::4]]  # some of them: the interpreter is slow
    for taps in (own, shared):
        for border in filters.BORDERS:
            fused = kernels.correlate(images.to(device), taps, border)
            plain = filters.correlate(images, taps, border)
            assert (fused.cpu() - plain).abs().max() < 1e-3


def check_zoom(device: torch.device) -> None:
    images = pictures()
    for severity in (1, 5):
        zooms = [blur.zoom_geometry(f, *images.shape[-2:]) for f in blur.zoom_factors(severity)]
        fused = kernels.zoom_blur(images.to(device), zooms).cpu()
        plain = blur.zoom_blur(images, severity, 0)
        assert (fused.int() - plain.int()).abs().max() <= 1


def check_sample(device: torch.device) -> None:
    images = pictures(2)
    normal = torch.randn(2, 2, *images.shape[-2:], generator=torch.Generator().manual_seed(1))
    # In narrow images a displacement may be longer than a row.
    for pixels in (6, 60):
        fused = kernels.sample(images.to(device), (pixels * normal).to(device)).cpu()
        plain = to_uint8(elastic._sample(to_float(images), pixels * normal))
        assert (fused.int() - plain.int()).abs().max() <= 1


CHECKS = (check_random, check_convolve, check_correlate, check_zoom, check_sample)

if __name__ == "__main__":
    for check in CHECKS:
        check(CPU)
        print(check.__name__)
