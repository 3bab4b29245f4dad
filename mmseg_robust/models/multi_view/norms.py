"""Batch norms that tell the views of a batch apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_robust.errors import InputError
from mmseg_robust.models.auxiliary_norm import AUXILIARY, main_norms
from mmseg_robust.models.multi_view.views import CLEAN_VIEW


class ViewNorms:
    """Decides which views a batch norm normalises together, and which of its statistics they feed.

    A batch holds V views of N samples, one view after the other. In training a batch norm

    - normalises each view by its own mean and variance (``joint=False``), as if each were a batch
      of its own; the running statistics, which inference uses, follow the first view alone, the
      clean one where it is among them;
    - or takes all views as one batch (``joint=True``), as if they were a larger batch of a stock
      training.

    Views that are named auxiliary go through the auxiliary norms, where they are treated in the
    same two ways among themselves. In evaluation a norm is the stock one; a norm that is frozen
    (``norm_eval``) keeps its running statistics for every view.

    ``views`` stays set after the forward pass, because re-entrant gradient checkpointing runs parts
    of the network again in the backward pass. The norms keep their class and get a ``forward`` of
    their own, so that nothing of it is in ``state_dict``.

    Args:
        joint (bool): Whether views are normalised together.
        auxiliary (Iterable[str]): Names of the views that go through the auxiliary norms.
    """

    def __init__(self, joint: bool, auxiliary: Iterable[str] = ()) -> None:
        self.joint = joint
        self.auxiliary = frozenset(auxiliary)
        self.views: tuple[str, ...] = ()

    def attach(self, module: nn.Module) -> None:
        """Puts itself before the batch norms of a network. May be called again.

        Args:
            module (nn.Module): The network or a part of it, after all conversions of its norms.
        """
        for norm in main_norms(module):
            if not isinstance(norm.__dict__.get("forward"), _NormForward):
                norm.__dict__["forward"] = _NormForward(norm, self)

    def groups(self, frozen: bool) -> list[tuple[bool, list[int]]]:
        """Which views are normalised together.

        Args:
            frozen (bool): Whether the norm uses its running statistics, so that it does not matter.

        Returns:
            list[tuple[bool, list[int]]]: For each group whether it goes through the auxiliary norm,
            and the places of its views in the batch. The first group of each norm is the one whose
            statistics are kept.
        """
        groups = []
        # Stable: the clean view comes first, the others stay in their order.
        order = sorted(range(len(self.views)), key=lambda place: self.views[place] != CLEAN_VIEW)
        for auxiliary in (False, True):
            places = [i for i in order if (self.views[i] in self.auxiliary) == auxiliary]
            if self.joint or frozen:
                groups += [(auxiliary, places)] if places else []
            else:
                groups += [(auxiliary, [place]) for place in places]
        return groups


class _NormForward:
    """Takes the place of one batch norm's ``forward``.

    An object and not a closure, so that a deep copy of the network gets one that looks at the copy.
    """

    def __init__(self, norm: nn.Module, norms: ViewNorms) -> None:
        self.norm = norm
        self.norms = norms

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise a batch of views.

        Args:
            x (Tensor): (V * N, C, ...), or with V times any number of rows.

        Returns:
            Tensor: Of the same shape.
        """
        norm, views = self.norm, self.norms.views
        stock = type(norm).forward
        groups = self.norms.groups(frozen=not norm.training) if views else []
        if not views or (len(groups) == 1 and not groups[0][0]):
            return stock(norm, x)
        if len(x) % len(views):
            raise InputError(
                f"A batch norm gets {len(x)} rows, which are not {len(views)} views of the same "
                "size: the network mixes the samples of a batch, and cannot be trained with "
                "several views. norm_statistics='joint' without auxiliary norms takes it as it is."
            )
        parts: Sequence[Tensor] = x.chunk(len(views))
        out = list(parts)
        kept: set[bool] = set()
        for auxiliary, places in groups:
            rows = parts[places[0]] if len(places) == 1 else torch.cat([parts[i] for i in places])
            target = getattr(norm, AUXILIARY) if auxiliary else norm
            rows = _normalise(target, rows, keep=auxiliary not in kept)
            kept.add(auxiliary)
            for place, piece in zip(places, rows.chunk(len(places))):
                out[place] = piece
        return torch.cat(out)


def _normalise(norm: Any, x: Tensor, keep: bool) -> Tensor:
    """A stock norm's own forward, with or without an update of its running statistics."""
    stock = type(norm).forward
    if keep or not norm.training or not norm.track_running_stats:
        return stock(norm, x)
    norm.track_running_stats = False
    try:
        return stock(norm, x)
    finally:
        norm.track_running_stats = True
