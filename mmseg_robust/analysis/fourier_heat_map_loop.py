"""Tests a model for its Fourier heat map."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.registry import LOOPS
from mmengine.runner import Runner

from mmseg_robust.analysis.fourier_heat_map import TITLES, HeatMap, heat_map
from mmseg_robust.corruptions import FourierGrid
from mmseg_robust.corruptions.protocols import AFTER_CROP, NATIVE
from mmseg_robust.engine.loops import RobustnessTestLoop
from mmseg_robust.engine.loops.find_task import classifies
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.results import ResultSums


def spread(total: int, wanted: int) -> list[int]:
    """Some of a data set's images, evenly spread: the first ones would be of the same few scenes.

    Args:
        total (int): Images of the data set.
        wanted (int): Largest number to take, at least 1.

    Returns:
        list[int]: Their places, ascending; they depend on the arguments alone.
    """
    count = min(wanted, total)
    return [place * total // count for place in range(count)]


@LOOPS.register_module()
class FourierHeatMapLoop(RobustnessTestLoop):
    """Tests a model, segmentor or classifier, under noise of each frequency of a grid.

    It is :class:`~mmseg_robust.engine.loops.RobustnessTestLoop` with a grid as protocol: many cells
    of an image go through the model at a time, ranks share the images, finished images are kept
    and a run that was killed goes on. In place of a report it leaves the heat map. A segmentor's
    images get the noise at their own resolution, a classifier's after resize and crop.

    Args:
        runner (Runner): The runner.
        dataloader (dict): Config of the stock test dataloader.
        evaluator (Evaluator | dict | list): The stock evaluator, with one ``IoUMetric`` or, for a
            classifier, MMPretrain's ``Accuracy``.
        name (str): Name of the model.
        size (int): See :class:`~mmseg_robust.corruptions.FourierGrid`.
        greatest (float): Likewise.
        strength (float): Likewise.
        images (int, optional): Number of images, evenly spread over the data set; those that are
            there, if it is less. Defaults to None, all.
        seed (int): Seed of the signs of the noise. Defaults to 0.
        cells_per_batch (int): Largest number of cells of an image that go through the model at a
            time. Defaults to 8.

    Attributes:
        heat_map (HeatMap | None): On the main process, after the test.

    Raises:
        InputError: If a value is wrong, or dataset, model and evaluator do not fit the loop.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: Evaluator | dict | list,
        name: str,
        size: int,
        greatest: float,
        strength: float,
        images: int | None = None,
        seed: int = 0,
        cells_per_batch: int = 8,
    ) -> None:
        if not isinstance(evaluator, Evaluator):
            evaluator = runner.build_evaluator(evaluator)
        acts = AFTER_CROP if classifies(evaluator) else NATIVE
        self.grid = FourierGrid(size, greatest, strength, acts)
        super().__init__(
            runner, dataloader, evaluator, self.grid.name, seed=seed,
            cells_per_batch=cells_per_batch,
        )  # fmt: skip
        if images is not None:
            self._take(images)
        self.name = name
        self.heat_map: HeatMap | None = None

    def _take(self, images: int) -> None:
        """Leaves only so many images in the data set."""
        if not isinstance(images, Integral) or isinstance(images, bool) or images < 1:
            raise InputError(f"The number of images must be an integer from 1, got {images!r}.")
        dataset = self.cells.dataset.dataset
        try:
            dataset.get_subset_(spread(len(dataset), images))
        except NotImplementedError as error:  # MMEngine's wrappers of several data sets
            raise InputError(
                f"Images cannot be chosen from a {type(dataset).__name__}: choose them in its "
                "parts, with indices=... in their configs, and leave the number of images out."
            ) from error

    def _finish(self, sums: ResultSums) -> dict[str, float]:
        """Makes the heat map, and gives the metrics."""
        figures: list[dict[str, Any]] = [{}]
        if is_main_process():
            run = sums.finish(self.cells.dataset.names())
            made = heat_map(self.name, self.grid, run, self.task.classes, self._provenance())
            self.heat_map = made
            error, down, across = made.worst
            print_log(
                f"{made.name}: {TITLES[made.measure]} {made.clean:.2f} % clean, {made.mean:.2f} % "
                f"on average, {error:.2f} % at {down:g} cycles a pixel down and {across:g} across.",
                self.runner.logger,
            )
            figures = [{"fourier/clean": made.clean, "fourier/mean": made.mean}]
        broadcast_object_list(figures)
        return {**self.task.clean_metrics(sums, self.cells.dataset.paths()), **figures[0]}
