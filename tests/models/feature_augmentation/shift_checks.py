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
                torch.testing.assert_close(out.cpu(), expected)
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
