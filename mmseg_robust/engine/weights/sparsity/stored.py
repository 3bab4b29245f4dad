"""What a checkpoint holds of sparse training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mmseg_robust.engine.weights.sparsity.densities import Layer
from mmseg_robust.engine.weights.sparsity.settings import Settings, differences
from mmseg_robust.errors import InputError

CHECKPOINT_KEY = "sparse_training"
_START_ANEW = "To start from its weights, give it as load_from without resume."


@dataclass(frozen=True)
class StoredMasks:
    """Masks, counter and settings of a run.

    Args:
        settings (dict): From ``Settings.as_dict``.
        updates (int): Optimizer updates that took place.
        layers (dict): Parameter name to shape, of all selected layers.
        masks (dict): Parameter name to bool mask, of the masked ones.
    """

    settings: dict[str, Any]
    updates: int
    layers: dict[str, list[int]]
    masks: dict[str, Tensor]

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any]) -> StoredMasks | None:
        """Read them from a checkpoint; None if it is of a run without sparse training."""
        stored = checkpoint.get(CHECKPOINT_KEY)
        return None if stored is None else cls(**stored)

    def put_into(self, checkpoint: dict[str, Any]) -> None:
        """Add them to a checkpoint: plain values and tensors, which torch's safe loader reads."""
        checkpoint[CHECKPOINT_KEY] = dict(vars(self))

    def check_layers(self, layers: Sequence[Layer]) -> None:
        """Check that they belong to this run's model.

        Args:
            layers (sequence of Layer): All layers that this run selects.

        Raises:
            InputError: If the checkpoint is of another model.
        """
        expected = {layer.name: list(layer.shape) for layer in layers}
        for name in [*expected, *self.layers]:
            here, there = expected.get(name), self.layers.get(name)
            if here != there:
                raise InputError(
                    f"the checkpoint to resume is of another model: {name} has the shape "
                    f"{_named(here)} here, {_named(there)} in the checkpoint. {_START_ANEW}"
                )


def check_resumed(settings: Settings, stored: StoredMasks | None) -> None:
    """Check that a run can go on from a checkpoint.

    Args:
        settings (Settings): Of this run.
        stored (StoredMasks, optional): What the checkpoint holds.

    Raises:
        InputError: If it holds no masks, or those of other settings.
    """
    if stored is None:
        if settings.sparsity == 0:
            return
        raise InputError(
            "the checkpoint to resume holds no masks: it is of a run without "
            f"DynamicSparseTrainingHook. {_START_ANEW}"
        )
    found = differences(settings, stored.settings)
    if found:
        raise InputError(
            f"the checkpoint to resume is of other sparse training: {'; '.join(found)}. Set this "
            f"back. {_START_ANEW}"
        )


def _named(shape: Sequence[int] | None) -> str:
    return "none" if shape is None else "x".join(map(str, shape))
