"""Corruption of a training batch on its device, for any data preprocessor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmseg_robust.corruptions import corrupt
from mmseg_robust.corruptions.choice import CellChoice
from mmseg_robust.corruptions.names import MAX_SEVERITY
from mmseg_robust.corruptions.protocols import CLEAN
from mmseg_robust.corruptions.random import hash_parts
from mmseg_robust.errors import InputError
from mmseg_robust.models.training_iteration import training_iteration

CHANNEL_ORDERS = ("bgr", "rgb")


class DeviceCorruption:
    """Gives each image of a batch a corruption and severity of its own, or leaves it as it is.

    It is no ``nn.Module`` and has no buffers. The draws depend on (seed, rank, iteration, place in
    the batch) alone: no global random state is read or changed, ranks differ, and a resumed run
    draws what an uninterrupted one would. Under an MMEngine runner the iteration comes from the
    message hub; in a plain training loop it is the number of calls so far.

    Args:
        choice (CellChoice): What to draw from.
        seed (int): Seed of the draws.
        channel_order (str): Order of the channels of the images, ``'bgr'`` or ``'rgb'``.

    Raises:
        InputError: If the channel order is unknown.
    """

    def __init__(self, choice: CellChoice, seed: int, channel_order: str) -> None:
        if channel_order not in CHANNEL_ORDERS:
            raise InputError(f"channel_order is {channel_order!r}; it must be 'bgr' or 'rgb'.")
        self.choice = choice
        self.seed = seed
        self.channel_order = channel_order
        self._calls = 0

    def __call__(self, images: Sequence[Tensor] | Tensor) -> list[Tensor] | Tensor:
        """Corrupts a batch. The host does not wait for the device.

        Args:
            images (Sequence[Tensor] | Tensor): uint8, each of shape (3, H, W), as one tensor or as
                several, which may differ in size.

        Returns:
            list[Tensor] | Tensor: The images in the same form and channel order; those that are
            left alone may be the very same tensors.

        Raises:
            InputError: If an image is not as described.
        """
        out = list(images)
        keys = self._keys(len(out))
        cells = [self.choice.draw(key) for key in keys]
        by_shape: dict[torch.Size, list[int]] = {}
        for place, cell in enumerate(cells):
            if cell != CLEAN:
                by_shape.setdefault(out[place].shape, []).append(place)
        for places in by_shape.values():
            batch = torch.stack([out[place] for place in places])
            if self.channel_order == "bgr":
                batch = batch.flip(1)
            names, severities = zip(*(cells[place] for place in places))
            batch = corrupt(batch, names, severities, [keys[place] for place in places])
            if self.channel_order == "bgr":
                batch = batch.flip(1)
            for place, image in zip(places, batch):
                out[place] = image
        return torch.stack(out) if isinstance(images, Tensor) else out

    def _keys(self, count: int) -> list[int]:
        """One number an image, which its cell and its pixels depend on."""
        in_run = training_iteration()
        iteration = self._calls if in_run is None else in_run
        self._calls += 1
        rank = get_rank()
        return [hash_parts(self.seed, rank, iteration, place) for place in range(count)]


class CorruptionMixin(BaseDataPreprocessor):
    """Puts :class:`DeviceCorruption` in front of a stock data preprocessor, in training.

    In evaluation and with ``prob=0`` the preprocessor is the stock one to the bit. It adds no keys
    to ``state_dict``.

    Args:
        corruptions (str | Sequence[str], optional): A name, or several to draw from. Defaults to
            None, the 19 common corruptions.
        severities (int | Sequence[int]): A severity, or several to draw from. Defaults to 1 to 5.
        prob (float): Probability that an image is corrupted. Defaults to 0.5.
        holdout (str | Sequence[str]): Names to leave out of ``corruptions``. Defaults to none.
        seed (int): Seed of the draws. Defaults to 0.
        channel_order (str): Order of the channels that the pipeline gives. Defaults to ``'bgr'``,
            that of OpenMMLab's image loader; ``'rgb'`` for data sets that hold RGB arrays.
        **stock (Any): The arguments of the stock preprocessor.

    Raises:
        InputError: If a value is wrong.
    """

    def __init__(
        self,
        corruptions: str | Sequence[str] | None = None,
        severities: int | Sequence[int] = tuple(range(1, MAX_SEVERITY + 1)),
        prob: float = 0.5,
        holdout: str | Sequence[str] = (),
        seed: int = 0,
        channel_order: str = "bgr",
        **stock: Any,
    ) -> None:
        super().__init__(**stock)
        choice = CellChoice(corruptions, severities, prob, holdout)
        self.corruption = DeviceCorruption(choice, seed, channel_order)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Corrupts in training, then does what the stock preprocessor does.

        Args:
            data (dict): A batch of the data loader: ``inputs``, uint8 images of shape (3, H, W),
                and ``data_samples``.
            training (bool): Whether to train on it.

        Returns:
            dict: As the stock preprocessor's.

        Raises:
            InputError: If an image that is to be corrupted is not uint8, has not three channels
                or is smaller than 32 pixels.
        """
        if training and not self.corruption.choice.never_acts:
            data = {**data, "inputs": self.corruption(self.cast_data(data["inputs"]))}
        return super().forward(data, training)
