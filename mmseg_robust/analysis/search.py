"""What the searches for dominant frequency maps have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Protocol

from torch import Tensor

from mmseg_robust.analysis.filtered_counts import Measure
from mmseg_robust.analysis.search_store import SearchStore

Tick = Callable[[int, int], None]
"""Called with how many more of how many maps are measured."""

MAPS_AT_ONCE = 16
"""Maps that a model is asked about in one go, and that are lost if it is killed meanwhile. How many
go through the network in a batch is another matter, and that of the model."""


class Search(Protocol):
    """A way to find out which frequencies a model needs for each class."""

    def identity(self) -> dict[str, Any]:
        """What decides the finished parts of a search, as JSON can hold it."""
        ...

    def find(
        self,
        measure: Measure,
        labels: Sequence[int],
        size: tuple[int, int],
        store: SearchStore,
        tick: Tick,
    ) -> Tensor:
        """Finds the maps; what the store holds is not measured again.

        Args:
            measure (Measure): The model on its images.
            labels (Sequence[int]): Classes to find maps of.
            size (tuple[int, int]): Height and width of the maps.
            store (SearchStore): Where finished parts are kept.
            tick (Tick): Is told of the progress.

        Returns:
            Tensor: Centred maps, True for kept, bool, shape (len(labels), h, w), each equal at
            (u, v) and (-u, -v).
        """
        ...
