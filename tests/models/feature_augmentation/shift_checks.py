"""CWFA's fused kernel beside its plain twins; run as a script, in Triton's interpreter."""

from __future__ import annotations

import torch

from mmseg_robust.models.feature_augmentation import kernels, shift

CASES = (
    ("NCHW", (3, 40, 5, 70), torch.contiguous_format),
    ("NCHW", (3, 40, 5, 7), torch.channels_last),
    ("NCHW", (3, 1, 300, 30), torch.contiguous_format),
    ("NLC", (3, 300, 64), torch.contiguous_format),
    ("NHWC", (3, 5, 7, 48), torch.contiguous_format),
)


def rounding(mean: torch.Tensor, length: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """What rounding may leave in each sample's gradient.

    That of its shift is a difference of numbers as large as the gradient's total, over the mean's
    norm: with one channel it would be zero, and is all rounding.
    """
    norms = torch.linalg.vector_norm(mean.flatten(1), dim=1)
    largest = length * torch.linalg.vector_norm(total.flatten(1), dim=1) / norms
    return 8 * torch.finfo(torch.float32).eps * torch.where(norms > 0, largest, 0)


def near(out: torch.Tensor, expected: torch.Tensor, rounded: float) -> None:
    """Equal, up to the type's own tolerance and what rounding left."""
    rtol, atol = (1e-3, 1e-5) if out.dtype == torch.float16 else (1.3e-6, 1e-5)
    torch.testing.assert_close(out, expected, rtol=rtol, atol=atol + rounded)


def check(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    for layout, shape, memory in CASES:
        for dtype in (torch.float32, torch.float16):
            features, grad = (
                torch.randn(shape, generator=generator).to(dtype, memory_format=memory)
                for _ in range(2)
            )
            features[1] = 0
            length = torch.tensor([9.0, 4.0, 0.0])
            mean = shift.mean_feature(features, layout)
            total = shift.mean_feature(grad, layout)
            there = [t.to(device) for t in (mean, length)]
            for own, arguments, expected in (
                (features, there, shift.shift(features, mean, length, layout)),
                (grad, [*there], shift.gradient_of_shift(grad, mean, length, layout)),
            ):
                extra = (total.to(device),) if own is grad else ()
                out = kernels.add_along_mean(own.to(device), *arguments, layout, *extra)
                loose = rounding(mean, length, total) if own is grad else torch.zeros(3)
                for sample, rounded in enumerate(loose.tolist()):
                    near(out.cpu()[sample], expected[sample], rounded)
                assert out.stride() == own.stride()
                assert torch.equal(out[2].cpu(), own[2]), "length 0 changes nothing"
    for shape in ((0, 8, 4, 4), (2, 8, 0, 4)):
        empty, mean = torch.ones(shape), torch.ones(shape[0], 8, 1, 1)
        length = torch.ones(shape[0])
        out = kernels.add_along_mean(*(t.to(device) for t in (empty, mean, length)), "NCHW")
        assert out.shape == shape
    # Neither gradients that are one number expanded nor transposed views are dense.
    thin = torch.ones(()).expand(3, 40, 6, 6)
    swapped = torch.randn(3, 6, 40, 6, generator=generator).transpose(1, 2)
    mean, length = torch.randn(3, 40, 1, 1, generator=generator), torch.full((3,), 9.0)
    for own in (thin, swapped):
        out = kernels.add_along_mean(*(t.to(device) for t in (own, mean, length)), "NCHW")
        torch.testing.assert_close(out.cpu(), shift.shift(own, mean, length, "NCHW"))


if __name__ == "__main__":
    check(torch.device("cpu"))
    print("checked")
