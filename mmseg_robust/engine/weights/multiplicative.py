"""Perturbations of weights: random (DAMP) and adversarial (SAM, ASAM). Equations, in torch alone.

Papers: DAMP, T. Trinh, M. Heinonen, L. Acerbi, S. Kaski, "Improving robustness to corruptions with
multiplicative weight perturbations", NeurIPS 2024, arXiv 2406.16540. SAM, P. Foret et al.,
"Sharpness-aware minimization for efficiently improving generalization", ICLR 2021, arXiv
2010.01412. ASAM, J. Kwon et al., "ASAM: adaptive sharpness-aware minimization for scale-invariant
learning of deep neural networks", ICML 2021, arXiv 2102.11600.

Why multiply weights: for a layer z = w.x a shift e of its input is a multiplication of its weights,
w.(x + e) = (w * (1 + e / x)).x, and the loss on corrupted inputs is bounded by the loss under
multiplied weights plus a multiple of ||w||^2 (DAMP, theorem 1). So train with weights w * xi:

    DAMP:  xi ~ N(1, sigma^2), one number a weight                     (equation 7 of its paper)
    ASAM:  the xi of a ball of radius rho around 1 that raises the loss L most, to first order,
           xi = 1 + rho * (w * g) / ||w * g||_2,  g = dL / dw at w     (section 3 of DAMP's paper)

The second is ASAM's step with T = |w| and eta = 0: w * xi = w + rho * T^2 g / ||T g||_2. SAM is the
same with T = 1, the worst addition in place of the worst multiplication. In each the gradient is
taken at the perturbed weights and applied to the clean ones; what depends on w in xi or in the
addition is not differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def random_factors(out: Tensor, sigma: float, generator: torch.Generator) -> None:
    """DAMP's factors: independent numbers from N(1, sigma^2), neither clipped nor truncated.

    Args:
        out (Tensor): (L,), floating point; filled.
        sigma (float): Standard deviation, above 0. A factor is negative with probability
            Phi(-1 / sigma): 3e-5 at 0.25.
        generator (torch.Generator): What to draw from, on the tensor's device.
    """
    out.normal_(1.0, sigma, generator=generator)


def steepest_step(gradients: Sequence[Tensor], sizes: Sequence[Tensor | None], rho: float) -> None:
    """SAM's and ASAM's step up the loss, rho * T^2 g / ||T g||_2, in the place of the gradients.

    The norm is that of all tensors together. The step does not depend on the scale of the
    gradients, so that gradients of a scaled loss will do. Where the norm is 0 or not finite (half
    precision overflowed) the step is 0. Never waits for the device.

    Args:
        gradients (sequence of Tensor): g, (L_i,) each, floating point. Overwritten by the step.
        sizes (sequence of Tensor, optional each): The diagonal of T, as the gradients; None for 1.
        rho (float): Radius, above 0.
    """
    for gradient, size in zip(gradients, sizes):
        if size is not None:
            gradient.mul_(size)
    norm = _norm(gradients)
    usable = norm.isfinite() & (norm > 0)
    scale = torch.where(usable, rho / norm, torch.zeros_like(norm))
    for gradient, size in zip(gradients, sizes):
        if size is not None:
            gradient.mul_(size)
        # What is not finite stays so under a scale of 0.
        gradient.mul_(scale.to(gradient.device)).nan_to_num_(0.0, 0.0, 0.0)


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm of tensors together, (), in float32 or better, on the first one's device."""
    norms = [
        torch.linalg.vector_norm(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32)).to(
            tensors[0].device
        )
        for tensor in tensors
    ]
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
