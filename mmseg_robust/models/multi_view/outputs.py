"""What the network says about each view of a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mmseg_robust.errors import InputError
from mmseg_robust.models.losses.valid_pixels import resize_valid


@dataclass
class ViewOutputs:
    """Outputs by view, as far as terms read them.

    Attributes:
        views (tuple[str, ...]): The views that the encoder saw, in their order in the batch.
        task_losses (dict): By view, the stock losses by their stock names.
        logits (dict): By view, (N, C, H, W) or (N, C), before softmax.
        valid (Tensor, optional): Which pixels have a label, bool, (N, H, W), at the size of the
            inputs; None for classification.
    """

    views: tuple[str, ...]
    task_losses: dict[str, dict[str, Any]] = field(default_factory=dict)
    logits: dict[str, Tensor] = field(default_factory=dict)
    valid: Tensor | None = None

    def by_view(self, features: Tensor) -> dict[str, Tensor]:
        """Takes an output of the encoder apart.

        Args:
            features (Tensor): Of all views, (V * N, ...).

        Returns:
            dict[str, Tensor]: By view, (N, ...).
        """
        return dict(zip(self.views, split_views(features, len(self.views))))

    def as_map(self, features: Tensor) -> Tensor:
        """Gives tokens back their places in the image.

        Args:
            features (Tensor): (N, C, L), row by row, or anything else, which is left as it is.

        Returns:
            Tensor: (N, C, h, w) of the images' proportions, if L can be such a grid.
        """
        if self.valid is None or features.dim() != 3:
            return features
        height, width = self.valid.shape[1:]
        count = features.shape[2]
        rows = round(math.sqrt(count * height / width))
        fits = rows > 0 and count % rows == 0
        return features.unflatten(2, (rows, count // rows)) if fits else features

    def valid_at(self, maps: Tensor) -> Tensor | None:
        """Which positions of a map have a label: those whose nearest pixel has.

        Args:
            maps (Tensor): Logits or features, (N, C, h, w); or without places, (N, C, ...).

        Returns:
            Tensor | None: bool, (N, h, w); None if all count, or there are no places.
        """
        if self.valid is None or maps.dim() != 4:
            return None
        return resize_valid(self.valid, (maps.shape[2], maps.shape[3]))


def split_views(value: Any, count: int) -> list[Any]:
    """Takes what a module returned for several views apart.

    Args:
        value (Any): A tensor whose first dimension holds the views one after the other; or a list,
            tuple or dict of such, nested as it may be. None stays None.
        count (int): Number of views.

    Returns:
        list[Any]: The same structure for each view.

    Raises:
        InputError: If a tensor's first dimension is not a multiple of the number, or there is
            something else.
    """
    if isinstance(value, Tensor) and value.dim() and len(value) % count == 0:
        return list(value.chunk(count))
    if isinstance(value, dict):
        columns = {key: split_views(part, count) for key, part in value.items()}
        return [{key: parts[i] for key, parts in columns.items()} for i in range(count)]
    if isinstance(value, (list, tuple)):
        rows = [split_views(part, count) for part in value]
        return [type(value)(parts[i] for parts in rows) for i in range(count)]
    if value is None:
        return [None] * count
    got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    raise InputError(
        f"The network returns {got} for {count} views, which cannot be told apart: it cannot be "
        "trained with several views. Use the stock class without views."
    )


def first_views(value: Any, count: int, total: int) -> Any:
    """What a module returned, for the first views alone.

    Args:
        value (Any): As for :func:`split_views`.
        count (int): How many views to keep.
        total (int): How many there are.

    Returns:
        Any: The same structure.

    Raises:
        InputError: As :func:`split_views`.
    """
    if isinstance(value, Tensor) and value.dim() and len(value) % total == 0:
        return value[: len(value) // total * count] if count < total else value
    if isinstance(value, dict):
        return {key: first_views(part, count, total) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(first_views(part, count, total) for part in value)
    return split_views(value, total)[0]
