"""Blur levels on a straight line in the latent space of an auto-encoder.

Paper: I. Mazilu, S. Wang, S. Dummer, R. Veldhuis, C. Brune, N. Strisciuglio, "Defocus Blur
Synthesis and Deblurring via Interpolation and Extrapolation in Latent Space", CAIP 2023, arXiv
2307.15461. Read in the official code. An encoder E and a decoder D are trained on triplets (x_l,
x_r, x_t) of one scene, where the blur of x_t lies half way between that of x_l and x_r. With the
mean of squares as || ||^2:

    L_b = 1/2 (||D(E x_l) - x_l||^2 + ||D(E x_r) - x_r||^2)               'baseline'
    L_b + ||D(z) - x_t||^2                      z = 1/2 (E x_l + E x_r)   'implicit'
    L_b + ||D(z) - x_t||^2 + ||z - E x_t||^2                              'explicit'

(the code calls the last two 'indirect' and 'direct'). Then every level between the most blurred x_0
and the sharp x_16 is D((1 - a) E x_0 + a E x_16), a = level / 16. From x_0 and an image x_r of
level r = 16 b the sharp one is got by going on along the line: E x_16 = E x_r / b - (1 - b) / b E
x_0. Both are the one formula of :meth:`LinearLatentNetwork.on_line`, with the share a, and 1 / b.

E: five stages of convolution 3x3 with stride 2, batch norm, leaky ReLU (slope 0.01), of 64 to 1024
channels. D: the same backwards with transposed convolutions, one more to the full size, a
convolution 3x3 and a sigmoid. The code of 128x128 pixels has 1024x4x4 numbers.

The project's own choices: three channels besides one; sizes that 2 to the number of stages does not
divide are filled up by repeating the last row and column, and cut again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmseg_robust.errors import InputError

CHANNELS = (64, 128, 256, 512, 1024)
"""Of the encoder's stages."""
MOST_STAGES = 8
"""A code's position then stands for 256x256 pixels."""
LINEARITY = ("baseline", "implicit", "explicit")
"""How the latent space is made straight."""
TRIPLETS = ((0, 16, 8), (0, 8, 4), (8, 16, 12), (0, 4, 2), (4, 8, 6), (8, 12, 10), (12, 16, 14))
"""Levels (l, r, t) that the paper trains on, all with t half way."""
PREFIX = "network."
"""Of the network's tensors in a checkpoint of the model that is trained."""


def _stage(convolution: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.LeakyReLU(0.01))


class LinearLatentNetwork(nn.Module):
    """The auto-encoder.

    Args:
        channels (Sequence[int]): Channels of the encoder's stages, each 1 or more. Defaults to
            those of the paper.
        in_channels (int): 1 for grey images, 3 for RGB. Defaults to 3.

    Raises:
        InputError: If a value is not as described.
    """

    def __init__(self, channels: Sequence[int] = CHANNELS, in_channels: int = 3) -> None:
        super().__init__()
        if in_channels not in (1, 3):
            raise InputError(f"in_channels is {in_channels!r}; it must be 1 (grey) or 3 (RGB).")
        counted = all(isinstance(count, int) and count > 0 for count in channels)
        if not counted or not 0 < len(channels) <= MOST_STAGES:
            raise InputError(
                f"channels is {channels!r}; it must be a list of 1 to {MOST_STAGES} whole numbers "
                "above 0."
            )
        self.in_channels = in_channels
        self.divisor = 2 ** len(channels)
        down = (in_channels, *channels)
        self.encoder = nn.Sequential(
            *(_stage(nn.Conv2d(a, b, 3, 2, padding=1), b) for a, b in zip(down, down[1:]))
        )
        up = (*reversed(channels), channels[0])
        self.decoder = nn.Sequential(
            *(
                _stage(nn.ConvTranspose2d(a, b, 3, 2, padding=1, output_padding=1), b)
                for a, b in zip(up, up[1:])
            ),
            nn.Conv2d(channels[0], in_channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def encode(self, images: Tensor) -> Tensor:
        """E.

        Args:
            images (Tensor): In 0..1, shape (N, in_channels, H, W).

        Returns:
            Tensor: Codes, shape (N, channels[-1], ceil(H / 32), ceil(W / 32)) with five stages.

        Raises:
            InputError: If the images have another number of channels.
        """
        if images.shape[1] != self.in_channels:
            raise InputError(
                f"The auto-encoder takes images of {self.in_channels} channels, these have "
                f"{images.shape[1]}. Set in_channels of model and data sets to the same number, "
                "1 for grey or 3 for RGB, and train it so."
            )
        below, beside = (-size % self.divisor for size in images.shape[-2:])
        if below or beside:
            images = functional.pad(images, (0, beside, 0, below), mode="replicate")
        return self.encoder(images)

    def decode(self, codes: Tensor, size: Sequence[int]) -> Tensor:
        """D.

        Args:
            codes (Tensor): Shape (N, channels[-1], h, w).
            size (Sequence[int]): H and W of the images.

        Returns:
            Tensor: In 0..1, shape (N, in_channels, H, W).
        """
        return self.decoder(codes)[..., : size[0], : size[1]]

    def on_line(self, blurred: Tensor, clearer: Tensor, share: Tensor) -> Tensor:
        """D((1 - share) E blurred + share E clearer).

        Args:
            blurred (Tensor): In 0..1, shape (N, in_channels, H, W) or (1, in_channels, H, W).
            clearer (Tensor): Of the same scenes, likewise.
            share (Tensor): 0 for ``blurred``, 1 for ``clearer``, above 1 to go on; shape (N,).

        Returns:
            Tensor: In 0..1, shape (N, in_channels, H, W).
        """
        start, end = self.encode(blurred), self.encode(clearer)
        return self.decode(start + share.view(-1, 1, 1, 1) * (end - start), clearer.shape[-2:])


def linearity_losses(
    network: LinearLatentNetwork, left: Tensor, right: Tensor, target: Tensor, linearity: str
) -> dict[str, Tensor]:
    """The terms of the loss, all of weight 1.

    Args:
        network (LinearLatentNetwork): The auto-encoder.
        left (Tensor): x_l in 0..1, shape (N, in_channels, H, W).
        right (Tensor): x_r, likewise.
        target (Tensor): x_t, likewise, of the level half way.
        linearity (str): One of ``LINEARITY``.

    Returns:
        dict[str, Tensor]: ``loss_reconstruction``, ``loss_middle_image``, ``loss_middle_code``, as
        far as ``linearity`` has them.
    """
    size = left.shape[-2:]
    # One after the other, as the official code: each level has batch norm statistics of its own.
    codes = [network.encode(images) for images in (left, right)]
    errors = [
        functional.mse_loss(network.decode(code, size), images)
        for code, images in zip(codes, (left, right))
    ]
    losses = {"loss_reconstruction": (errors[0] + errors[1]) / 2}
    if linearity == "baseline":
        return losses
    middle = (codes[0] + codes[1]) / 2
    losses["loss_middle_image"] = functional.mse_loss(network.decode(middle, size), target)
    if linearity == "explicit":
        losses["loss_middle_code"] = functional.mse_loss(middle, network.encode(target))
    return losses


def load_network(path: str | Path) -> LinearLatentNetwork:
    """Builds the network of a checkpoint, in evaluation mode and without gradients.

    Args:
        path (str | Path): Checkpoint of ``LinearLatentAutoEncoder``, or its ``state_dict`` alone.

    Returns:
        LinearLatentNetwork: On the CPU, float32.

    Raises:
        InputError: If the file is missing, no checkpoint, or one of another model.
    """
    if not Path(path).is_file():
        raise InputError(f"The checkpoint {str(path)!r} does not exist. Give a .pth file.")
    try:
        content = torch.load(path, map_location="cpu")
    except Exception as error:  # torch raises nearly anything for a file that is no checkpoint
        raise InputError(
            f"The checkpoint {str(path)!r} cannot be read: {type(error).__name__}. It may be cut "
            "off, or no checkpoint at all."
        ) from error
    stored = content.get("state_dict", content) if isinstance(content, Mapping) else {}
    tensors = {
        name.removeprefix("module.").removeprefix(PREFIX): value.float()
        for name, value in stored.items()
        if isinstance(value, Tensor) and name.removeprefix("module.").startswith(PREFIX)
    }
    stages = [tensors[name] for name in sorted(tensors) if re.fullmatch(_FIRST_WEIGHTS, name)]
    other = InputError(
        f"The checkpoint {str(path)!r} is not of a LinearLatentAutoEncoder. Give one that was "
        "trained with a config of configs/linear_latent_blur."
    )
    if not stages or any(weight.ndim != 4 for weight in stages):
        raise other
    try:
        network = LinearLatentNetwork([len(own) for own in stages], stages[0].shape[1])
        network.load_state_dict(tensors)
    except (InputError, RuntimeError) as error:
        raise other from error
    return network.eval().requires_grad_(False)


_FIRST_WEIGHTS = r"encoder\.\d\.0\.weight"
