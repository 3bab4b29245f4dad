"""Runs MMSegmentation's heads on several views.

A stock head's ``loss`` is its ``forward`` and then its ``loss_by_feat``. Here ``forward`` gets the
features of several views in one batch, and ``loss_by_feat`` the outputs of each view by itself:
samplers, losses and their averages are those of the stock batch. A head with a ``loss`` of its own
(mask classification, PointRend, SAN) has it called for each view by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmseg_robust.errors import InputError
from mmseg_robust.models.multi_view.norms import ViewNorms
from mmseg_robust.models.multi_view.outputs import split_views

# Where the prediction is in the outputs of those heads that return several in training, read off
# their forward and predict in MMSegmentation 1.2.2; in all others it is the first.
_PLACES = {"IterativeDecodeHead": -1, "PIDHead": 1}


def is_plain(head: Any) -> bool:
    """Whether a head's ``loss`` is the stock one, ``forward`` and then ``loss_by_feat``."""
    return type(head).loss in (BaseDecodeHead.loss, BaseCascadeDecodeHead.loss)


@dataclass
class HeadPass:
    """Runs heads on some of the views of a training step.

    Args:
        views (tuple[str, ...]): Views that the heads see, in their order in the batch.
        with_loss (int): How many of them, from the first, need losses.
        norms (ViewNorms): Of the heads' batch norms.
        data_samples (list): N samples with labels.
        train_cfg (Any): The segmentor's.
    """

    views: tuple[str, ...]
    with_loss: int
    norms: ViewNorms
    data_samples: list
    train_cfg: Any

    def run(self, head: Any, *inputs: Any) -> tuple[list[dict[str, Any]], Any]:
        """A head's losses by view, and what it returns for all of them.

        Args:
            head (nn.Module): A stock head.
            *inputs (Any): The encoder's features of the views; in a cascade, then what the head
                before returned.

        Returns:
            tuple[list[dict], Any]: The stock losses of each view that needs them; the outputs for
            all views, None for a head with a ``loss`` of its own.

        Raises:
            InputError: If the outputs cannot be told apart by view.
        """
        if is_plain(head):
            self.norms.views = self.views
            outputs = head.forward(*inputs)
            parts = split_views(outputs, len(self.views))[: self.with_loss]
            return [head.loss_by_feat(part, self.data_samples) for part in parts], outputs
        losses = []
        columns = [split_views(value, len(self.views)) for value in inputs]
        for view, *arguments in list(zip(self.views, *columns))[: self.with_loss]:
            self.norms.views = (view,)
            losses.append(head.loss(*arguments, self.data_samples, self.train_cfg))
        return losses, None


def prediction(head: nn.Module, outputs: Any) -> Tensor:
    """The logits among what a head returns in training.

    Args:
        head (nn.Module): A stock head.
        outputs (Any): Of its ``forward``.

    Returns:
        Tensor: (N, C, H, W), at least two channels: a head with one channel, whose sigmoid is the
        foreground, gets zeros for the background, which makes softmax that sigmoid.

    Raises:
        InputError: If there is no such tensor.
    """
    if isinstance(outputs, (list, tuple)):
        kinds = [cls.__name__ for cls in type(head).__mro__]
        outputs = outputs[next((_PLACES[kind] for kind in kinds if kind in _PLACES), 0)]
    if not isinstance(outputs, Tensor) or outputs.dim() != 4:
        raise InputError(
            f"The head {type(head).__name__} returns no logits (N, C, H, W) to compare. Use terms "
            "that read stages or task losses."
        )
    return F.pad(outputs, (0, 0, 0, 0, 1, 0)) if outputs.shape[1] == 1 else outputs


def labelled(head: nn.Module, data_samples: Sequence[Any]) -> Tensor:
    """Which pixels have a label.

    Args:
        head (nn.Module): The head that predicts, which knows the label of those that have none.
        data_samples (Sequence): N samples with labels (1, H, W).

    Returns:
        Tensor: bool, (N, H, W).
    """
    labels = torch.stack([sample.gt_sem_seg.data for sample in data_samples])
    return labels[:, 0] != getattr(head, "ignore_index", 255)
