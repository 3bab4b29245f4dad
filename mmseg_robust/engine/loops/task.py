"""What the loops do with the outputs of a model, which depends on what it predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from mmengine.runner import Runner

from mmseg_robust.corruptions import Cell
from mmseg_robust.engine.loops.cell_batches import CellBatches
from mmseg_robust.evaluation.measures import Measure
from mmseg_robust.evaluation.pending import Counter
from mmseg_robust.evaluation.results import ImageResult, ResultSums


class Task(ABC):
    """Takes up outputs and gives the stock metrics of the clean images.

    Args:
        classes (Sequence[str]): Names of the classes, C.
    """

    measure: ClassVar[Measure]
    """What runs of the task are judged by."""

    image_kind: ClassVar[type[ImageResult]]
    """What the store holds of an image."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)

    @abstractmethod
    def counter(self, name: str, passes: tuple[Cell, ...]) -> Counter:
        """Takes up the outputs of an image.

        Args:
            name (str): Name of the image.
            passes (tuple[Cell, ...]): Passes of the protocol.
        """

    @abstractmethod
    def empty_sums(self, num_images: int, num_passes: int) -> ResultSums:
        """Gathers the results of a run.

        Args:
            num_images (int): Images of the run, N.
            num_passes (int): Passes of the protocol, K.
        """

    @abstractmethod
    def clean_metrics(self, sums: Any, paths: Sequence[str]) -> dict[str, float]:
        """What the stock test returns, for the clean images; all ranks call it.

        Args:
            sums (Any): Those of all ranks, from :meth:`empty_sums`.
            paths (Sequence[str]): Files of the images.

        Returns:
            dict[str, float]: By name.
        """

    def seen(self, sample: dict[str, Any], data_batch: Any) -> dict[str, Any]:
        """What of an output belongs to its prediction.

        Args:
            sample (dict[str, Any]): The output, as ``to_dict()`` of the data sample gives it.
            data_batch (Any): The batch that it comes from.

        Returns:
            dict[str, Any]: The sample.
        """
        return sample

    @property
    def saver(self) -> Callable[[Cell, Mapping[str, Any]], None] | None:
        """Saves an output in the folder of a cell; None where outputs are not to be saved."""
        return None

    @abstractmethod
    def shown(
        self, runner: Runner, cells: CellBatches, run: Any, image: int, index: int
    ) -> dict[str, Any]:
        """What a report says of one of the worst images.

        Args:
            runner (Runner): The runner, with its model in evaluation.
            cells (CellBatches): Where the images come from.
            run (Any): The run, from :meth:`empty_sums`.
            image (int): Index of the image.
            index (int): Index of the pass.

        Returns:
            dict[str, Any]: A part of what :func:`mmseg_robust.evaluation.page.write_page` takes.
        """
