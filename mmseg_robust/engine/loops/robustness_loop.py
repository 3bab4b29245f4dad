"""A test loop that measures a segmentor under every cell of a corruption protocol."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.registry import LOOPS
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.amp import autocast
from torch import Tensor
from torch.utils.data import DataLoader

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.corruptions.backends import get_backend
from mmseg_robust.engine.loops.cell_drawing import drawing_by_cell
from mmseg_robust.errors import InputError, message_of
from mmseg_robust.evaluation.areas import CellCounts, count_sample
from mmseg_robust.evaluation.comparison import (
    check_classes,
    dataset_classes,
    warn_of_differences,
)
from mmseg_robust.evaluation.provenance import package_versions
from mmseg_robust.evaluation.report import (
    build_record,
    check_writable,
    flat_metrics,
    read_baseline,
    write_record,
)
from mmseg_robust.evaluation.table import log_record

if TYPE_CHECKING:
    from mmseg.evaluation import IoUMetric
    from mmseg.structures import SegDataSample


@LOOPS.register_module()
class RobustnessTestLoop(BaseLoop):
    """Replaces the stock test loop by one over all images, clean and in all cells of a protocol.

    Dataloader, evaluator, model and hooks stay the stock ones, and hooks see one test run. Each
    image is corrupted in RGB at its own resolution by the dataloader's workers, then follows the
    test pipeline. Clean metrics come from the stock ``IoUMetric`` of ``test_evaluator``, those of
    the cells from pixel counts by the same arithmetic. Ranks share the work, and their number
    does not change the result. Label maps that the metric saves (``output_dir``) go to a folder a
    cell, pictures that ``SegVisualizationHook`` saves have the cell in their name.

    Args:
        runner (Runner): The runner.
        dataloader (dict): Config of the stock test dataloader. Its sampler is replaced by one that
            visits every item once.
        evaluator (Evaluator | dict | list): The stock evaluator, with one ``IoUMetric``, which also
            gives the ``ignore_index``.
        protocol (str): Name of the protocol, see ``mmseg_robust.corruptions.PROTOCOLS``.
        baseline (str, optional): The ``robustness.json`` of another run of the same protocol. With
            it mCE and relative mCE are reported. Defaults to None.
        seed (int): Seed of the corruptions. Defaults to 0.
        backend (str): Generator of the corruptions: ``'engine'``, the project's own, or
            ``'imagecorruptions'``, which reproduces published sets. Defaults to ``'engine'``.
        out_file (str, optional): A second place for the record, beside the one in the run's log
            folder, ``robustness.json``. Defaults to None.
        fp16 (bool): Whether to test under autocast. Defaults to False.

    Raises:
        InputError: If the protocol or the backend is unknown, the baseline is missing or of another
            protocol or other classes, the output cannot be written, or dataset and evaluator do
            not fit the loop.

    Example:
        >>> test_cfg = dict(type='RobustnessTestLoop', protocol='cityscapes-c')
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: Evaluator | dict | list,
        protocol: str,
        baseline: str | None = None,
        seed: int = 0,
        backend: str = "engine",
        out_file: str | None = None,
        fp16: bool = False,
    ) -> None:
        self.protocol = get_protocol(protocol)
        get_backend(backend).check(self.protocol.corruptions)
        self.baseline = None if baseline is None else read_baseline(baseline, self.protocol)
        if out_file is not None:
            check_writable(out_file)
        super().__init__(runner, _corrupted(dataloader, protocol, seed, backend))
        self.seed = seed
        self.backend = backend
        self.out_file = out_file
        self.fp16 = fp16
        dataset = self.dataloader.dataset
        self.evaluator = (
            evaluator if isinstance(evaluator, Evaluator) else runner.build_evaluator(evaluator)
        )
        self.evaluator.dataset_meta = dataset.metainfo
        runner.visualizer.dataset_meta = dataset.metainfo
        self.metric = _iou_metric(self.evaluator)
        self.classes = dataset_classes(dataset.metainfo)
        if self.baseline is not None:
            check_classes(self.baseline, self.classes)
            warn_of_differences(self.baseline, dataset.num_images, seed, backend, runner.logger)
        self._reset()

    def _reset(self) -> None:
        self._counts = CellCounts(len(self.protocol.passes), len(self.classes))
        # Areas of each clean image, so that the stock metric can finish its own work on them.
        self._clean: dict[int, Tensor] = {}

    def run(self) -> dict[str, float]:
        """Runs the test.

        Returns:
            dict[str, float]: The stock metrics on the clean images, then those of
            :func:`mmseg_robust.evaluation.report.flat_metrics`.

        Raises:
            InputError: If an image or label cannot be measured.
        """
        self._reset()
        self.dataloader.dataset[0]  # bad input shows here, before workers and hooks start
        self.runner.call_hook("before_test")
        self.runner.call_hook("before_test_epoch")
        self.runner.model.eval()
        try:
            with drawing_by_cell(self.runner.visualizer, self.dataloader.dataset):
                for index, batch in enumerate(self.dataloader):
                    self.run_iter(index, batch)
        except InputError as error:
            raise InputError(message_of(error)) from error
        metrics = self._finish()
        self.runner.call_hook("after_test_epoch", metrics=metrics)
        self.runner.call_hook("after_test")
        return metrics

    @torch.no_grad()
    def run_iter(self, index: int, batch: dict[str, Any]) -> None:
        """Tests one batch.

        Args:
            index (int): Number of the batch.
            batch (dict[str, Any]): A batch of the dataloader, in which cells may be mixed.
        """
        self.runner.call_hook("before_test_iter", batch_idx=index, data_batch=batch)
        origins = _origins(batch)
        with autocast(enabled=self.fp16):
            outputs = self.runner.model.test_step(batch)
        for (image, cell), output in zip(origins, outputs):
            self._count(image, cell, output)
        self.runner.call_hook("after_test_iter", batch_idx=index, data_batch=batch, outputs=outputs)

    def _count(self, image: int, cell: int, output: SegDataSample) -> None:
        sample = output.to_dict()
        areas, has_nan = count_sample(sample, len(self.classes), self.metric.ignore_index)
        self._counts.add(cell, areas, has_nan)
        if cell == 0:
            self._clean[image] = areas.cpu()
        if self.metric.output_dir is not None:
            self._save_label_map(cell, sample)

    def _save_label_map(self, cell: int, sample: dict[str, Any]) -> None:
        """Lets the stock metric save a prediction, in a folder of its cell."""
        metric, folder = self.metric, self.metric.output_dir
        metric.output_dir = os.path.join(folder, str(self.protocol.passes[cell]))
        metric.format_only = True  # save, do not count
        os.makedirs(metric.output_dir, exist_ok=True)
        metric.process({}, [sample])
        metric.output_dir, metric.format_only = folder, False

    def _finish(self) -> dict[str, float]:
        """Joins the ranks, reports, and gives the metrics."""
        self._counts.reduce()
        self._check_complete()
        record = build_record(
            self.protocol, self._counts, self.classes, self._provenance(), self.baseline
        )
        figures = {f"robustness/{name}": value for name, value in flat_metrics(record).items()}
        metrics = {**self._clean_metrics(), **figures}
        log_record(record, self.protocol, self.runner.logger)
        if is_main_process():
            self._write(record)
        return metrics

    def _check_complete(self) -> None:
        expected = self.dataloader.dataset.num_images
        for cell, images in zip(self.protocol.passes, self._counts.images.tolist()):
            if images != expected:
                raise InputError(
                    f"Cell {cell} was measured on {images} instead of {expected} images: remove "
                    "what drops or repeats items from test_dataloader (batch_sampler, drop_last)."
                )

    def _clean_metrics(self) -> dict[str, float]:
        """Lets the stock metric finish on the counts of all ranks, in the order of the images."""
        merged: dict[int, Tensor] = {}
        for part in all_gather_object(self._clean):
            merged.update(part)
        results = []
        for image in sorted(merged):
            intersect, prediction, label = merged[image].float()
            results.append((intersect, prediction + label - intersect, prediction, label))
        metrics = self.metric.compute_metrics(results)
        prefix = f"{self.metric.prefix}/" if self.metric.prefix else ""
        return {f"{prefix}{key}": value for key, value in metrics.items()}

    def _provenance(self) -> dict[str, Any]:
        checkpoint = self.runner._load_from
        return {
            "seed": self.seed,
            "backend": self.backend,
            "config": self.runner.cfg.filename,
            "checkpoint": None if checkpoint is None else str(checkpoint),
            "fp16": self.fp16,
            "versions": package_versions(),
        }

    def _write(self, record: dict[str, Any]) -> None:
        paths = [os.path.join(self.runner.log_dir, "robustness.json")]
        if self.out_file is not None:
            paths.append(self.out_file)
        for path in paths:
            write_record(record, path)
            print_log(f"Robustness record written to {path}", self.runner.logger)


def _corrupted(dataloader: dict | DataLoader, protocol: str, seed: int, backend: str) -> dict:
    """Config of the dataloader over all cells."""
    from mmseg_robust.datasets.corrupted import CorruptedDataset

    if isinstance(dataloader, DataLoader):
        raise InputError(
            "RobustnessTestLoop needs test_dataloader as a config, not as a built DataLoader."
        )
    config = dict(dataloader)
    if config.pop("num_batch_per_epoch", None) is not None:
        raise InputError(
            "num_batch_per_epoch would cut off cells: choose images with indices=... in the "
            "dataset of test_dataloader instead."
        )
    clean = config["dataset"]
    config["dataset"] = {
        "type": CorruptedDataset,
        "dataset": clean,
        "protocol": protocol,
        "seed": seed,
        "backend": backend,
    }
    # No rounding up: a stock sampler repeats items to give every rank as many.
    config["sampler"] = {"type": "DefaultSampler", "shuffle": False, "round_up": False}
    return config


def _iou_metric(evaluator: Evaluator) -> IoUMetric:
    """The IoUMetric of the evaluator."""
    from mmseg.evaluation import IoUMetric

    found = [metric for metric in evaluator.metrics if isinstance(metric, IoUMetric)]
    if not found or found[0].format_only:
        raise InputError(
            "RobustnessTestLoop needs an IoUMetric without format_only in test_evaluator, got "
            f"{', '.join(type(metric).__name__ for metric in evaluator.metrics)}."
        )
    for metric in evaluator.metrics:
        if metric is not found[0]:
            print_log(
                f"RobustnessTestLoop leaves out {type(metric).__name__} of test_evaluator.",
                "current",
                logging.WARNING,
            )
    return found[0]


def _origins(batch: dict[str, Any]) -> list[tuple[int, int]]:
    """Image and cell of each item of a batch.

    They are taken from the batch and not from the model's outputs, because a model may make new
    samples for its predictions, as those for test-time augmentation do.
    """
    from mmseg_robust.datasets.corrupted import CELL_KEY, IMAGE_KEY

    samples = batch["data_samples"]
    if isinstance(samples[0], (list, tuple)):
        samples = samples[0]  # test-time augmentation: one list of samples an augmentation
    return [(sample.metainfo[IMAGE_KEY], sample.metainfo[CELL_KEY]) for sample in samples]
