"""Turns BGR batches into RGB in place of the data preprocessor, which would wait for the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from mmseg_robust.models.innermost import innermost

Batch = dict[str, Any]
Turn = Callable[[Batch], Batch]


@contextmanager
def channels_turned(model: nn.Module) -> Iterator[Turn]:
    """Takes the turning of channels over from MMSegmentation's data preprocessor.

    That one indexes every image with a Python list. On a GPU the list is copied there, which waits
    until all earlier work is done: no batch could be prepared while the one before is computed. A
    flip does the same to the pixels and waits for nothing.

    Args:
        model (nn.Module): The model, whatever wraps it. A data preprocessor of another class, or
            one that keeps the order, is left alone.

    Yields:
        Turn: Gives the batch that the model is to be called with, meanwhile.
    """
    from mmseg.models import SegDataPreProcessor

    preprocessor: Any = getattr(innermost(model), "data_preprocessor", None)
    # A subclass may do anything with the order.
    if type(preprocessor) is not SegDataPreProcessor or not preprocessor.channel_conversion:
        yield lambda batch: batch
        return
    preprocessor.channel_conversion = False
    try:
        yield lambda batch: {**batch, "inputs": _turned(batch["inputs"])}
    finally:
        preprocessor.channel_conversion = True


def _turned(inputs: Any) -> Any:
    if isinstance(inputs, Tensor):
        # The channels are the third dimension from behind; others than three are not BGR.
        return inputs.flip(-3) if inputs.shape[-3] == 3 else inputs
    return [_turned(part) for part in inputs]
