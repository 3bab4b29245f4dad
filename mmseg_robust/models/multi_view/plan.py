"""Which views go how far through the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmseg_robust.models.multi_view.terms import Term
from mmseg_robust.models.multi_view.views import CLEAN_VIEW


@dataclass(frozen=True)
class Plan:
    """The views of a training step, so that nothing is computed that no term reads.

    Each is a part of the next and stands at its beginning: a head gets the first rows of a batch.

    Attributes:
        with_loss (tuple[str, ...]): Views whose task loss is computed, by all heads.
        with_logits (tuple[str, ...]): Those and the views whose predictions are compared, which go
            through the head that predicts.
        drawn (tuple[str, ...]): All views, which go through the encoder.
    """

    with_loss: tuple[str, ...]
    with_logits: tuple[str, ...]
    drawn: tuple[str, ...]


def make_plan(terms: Sequence[Term], clean_weight: float) -> Plan:
    """Finds out which views terms read.

    Args:
        terms (Sequence[Term]): Those with a weight above 0.
        clean_weight (float): Weight of the clean view's task loss.

    Returns:
        Plan: For the steps of the training.
    """
    clean = [CLEAN_VIEW] if clean_weight > 0 else []
    with_loss = _once([*clean, *_read(terms, "task_losses")])
    with_logits = _once([*with_loss, *_read(terms, "logits")])
    return Plan(with_loss, with_logits, _once([*with_logits, *_read(terms, "stages")]))


def _read(terms: Iterable[Term], what: str) -> list[str]:
    return [view for term in terms if term.reads == what for view in term.views]


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
