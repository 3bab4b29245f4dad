"""CWFA's fused kernels beside their plain twins; run as a script, in Triton's interpreter."""

from __future__ import annotations

import torch

from mmseg_robust.models.feature_augmentation import kernels, shift


def check(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((6, 40, 1, 1), (5, 1, 64), (3, 1, 1, 5)):
        mean = torch.randn(shape, generator=generator)
        mean[1] = 0
        length = 9 * torch.rand(len(mean), generator=generator)
        total = torch.randn(shape, generator=generator)
        for dtype in (torch.float32, torch.float16):
            plain = shift.make_shift(mean, length, dtype)
            fused = kernels.make_shift(mean.to(device), length.to(device), dtype)
            for one, other in zip(fused, plain):
                torch.testing.assert_close(one.cpu(), other)
            arguments = (total, plain.direction, plain.rate)
            through = kernels.gradient_through_shift(*(t.to(device) for t in arguments), dtype)
            torch.testing.assert_close(
                through.cpu(), shift.gradient_through_shift(*arguments, dtype)
            )


if __name__ == "__main__":
    check(torch.device("cpu"))
    print("checked")
