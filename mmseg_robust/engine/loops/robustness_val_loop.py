"""A light robustness measure at each validation of a training run."""

from __future__ import annotations

from mmengine.evaluator import Evaluator
from mmengine.registry import LOOPS
from mmengine.runner import Runner

from mmseg_robust.corruptions import CLEAN, Cell
from mmseg_robust.engine.loops.cells_loop import CellsLoop
from mmseg_robust.errors import InputError, message_of
from mmseg_robust.evaluation.robustness_metrics import corruption_means, robustness


@LOOPS.register_module()
class RobustnessValLoop(CellsLoop):
    """Replaces the stock validation loop by one that also sees a few corrupted cells.

    Its metrics go where those of the stock loop go, to the log and the visualizer, and to
    ``CheckpointHook``, so that ``save_best='robustness/retention'`` or ``'robustness/mean'`` may
    follow them. MMEngine cannot guess that larger is better there: set ``rule='greater'``. For a
    classifier the mean is an error: follow the retention, or set ``rule='less'``.

    Args:
        runner (Runner): The runner.
        dataloader (dict): Config of the stock validation dataloader. Its sampler and batch size are
            replaced.
        evaluator (Evaluator | dict | list): The stock evaluator, with one ``IoUMetric`` or, for a
            classifier, MMPretrain's ``Accuracy``.
        protocol (str): Name of the protocol. Defaults to ``'cityscapes-c-light'``.
        seed (int): Seed of the corruptions. Defaults to 0.
        cells_per_batch (int): Largest number of cells that go through the model at a time. Defaults
            to 8.
        fp16 (bool): Whether to validate under autocast. Defaults to False.
        attention (str): See :class:`~mmseg_robust.engine.loops.RobustnessTestLoop`. Defaults to
            ``'fused'``.

    Raises:
        InputError: If a value is wrong, or dataset and evaluator do not fit the loop.

    Example:
        >>> val_cfg = dict(type='RobustnessValLoop')
        >>> default_hooks = dict(checkpoint=dict(
        ...     type='CheckpointHook', save_best='robustness/retention', rule='greater'))
    """

    stage = "val"

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: Evaluator | dict | list,
        protocol: str = "cityscapes-c-light",
        seed: int = 0,
        cells_per_batch: int = 8,
        fp16: bool = False,
        attention: str = "fused",
    ) -> None:
        super().__init__(
            runner, dataloader, evaluator, protocol, seed, "engine", cells_per_batch, "device",
            fp16, attention,
        )  # fmt: skip

    def run(self) -> dict[str, float]:
        """Validates.

        Returns:
            dict[str, float]: The stock metrics on the clean images, and ``robustness/clean``,
            ``robustness/mean``, ``robustness/retention`` and the mIoU by group, in percent; for a
            classifier the top-1 error in place of mIoU, and the retention of its accuracy.

        Raises:
            InputError: If an image or label cannot be measured.
        """
        self._call("before_{}")
        self._call("before_{}_epoch")
        self.runner.model.eval()
        sums = self._empty_sums()
        try:
            with self._model_as_tested():
                for image, result in self._tested(range(self.cells.dataset.num_images)):
                    sums.add(image, result)
        except InputError as error:
            raise InputError(message_of(error)) from error
        self._join(sums)
        dataset, stated = self.cells.dataset, self.task.measure.stated
        scores = sums.finish(dataset.names()).scores().tolist()
        cells: dict[Cell, float] = dict(zip(self.protocol.passes, scores))
        means = corruption_means(self.protocol, cells)
        figures = robustness(self.protocol, cells[CLEAN], means)
        metrics = self.task.clean_metrics(sums, dataset.paths())
        parts = {
            "clean": stated(figures.clean),
            "mean": stated(figures.mean),
            "retention": figures.retention,
            **{name: stated(score) for name, score in figures.groups.items()},
        }
        metrics.update({f"robustness/{name}": round(value, 2) for name, value in parts.items()})
        self._call("after_{}_epoch", metrics=metrics)
        self._call("after_{}")
        return metrics
