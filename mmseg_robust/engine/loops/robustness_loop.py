"""A test loop that measures a model under every cell of a corruption protocol."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

from mmengine.dist import barrier, broadcast_object_list, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.registry import LOOPS
from mmengine.runner import Runner

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.engine.loops.cell_drawing import drawing_by_cell, is_drawing
from mmseg_robust.engine.loops.cells_loop import CellsLoop
from mmseg_robust.engine.loops.run_identity import default_folder, run_identity
from mmseg_robust.engine.loops.worst_images import picture_worst
from mmseg_robust.errors import InputError, message_of
from mmseg_robust.evaluation.baseline import read_baseline
from mmseg_robust.evaluation.comparison import (
    check_classes,
    check_measure,
    warn_of_differences,
)
from mmseg_robust.evaluation.page import write_page
from mmseg_robust.evaluation.provenance import package_versions
from mmseg_robust.evaluation.record import build_record, flat_metrics
from mmseg_robust.evaluation.record_files import images_path, write_counts, write_record
from mmseg_robust.evaluation.report import write_report
from mmseg_robust.evaluation.result_store import ResultStore
from mmseg_robust.evaluation.results import ResultSums, RunResult
from mmseg_robust.evaluation.table import log_record
from mmseg_robust.files import check_writable, sweep


@LOOPS.register_module()
class RobustnessTestLoop(CellsLoop):
    """Replaces the stock test loop by one over all images, clean and in all cells of a protocol.

    For segmentors of MMSegmentation and classifiers of MMPretrain. Dataloader, evaluator, model and
    hooks stay the stock ones, and hooks see one test run. Each image is read once; its cells are
    made on the model's device where the protocol says, at the image's own resolution or after
    resize and crop (``imagenet-c``), go through the rest of the pipeline there, and through the
    model several at a time. Clean metrics come from the stock metric of ``test_evaluator``, those
    of the cells from pixel counts by the arithmetic of ``IoUMetric``, or from the classifier's
    predictions (top-1 error). Ranks share the images, and their number does not change the result.
    A finished image is kept on disk: a run that was killed goes on with the same command. Label
    maps that ``IoUMetric`` saves (``output_dir``) and pictures that the stock visualization hooks
    save go to a folder a cell.

    Args:
        runner (Runner): The runner.
        dataloader (dict): Config of the stock test dataloader. Its sampler and batch size are
            replaced.
        evaluator (Evaluator | dict | list): The stock evaluator, with one ``IoUMetric``, which also
            gives the ``ignore_index``, or with MMPretrain's ``Accuracy``.
        protocol (str): Name of the protocol, see ``mmseg_robust.corruptions.PROTOCOLS``.
        baseline (str, optional): The ``robustness.json`` of another run of the same protocol, or
            the name of a published baseline, such as ``'alexnet'`` for ``imagenet-c``. With it mCE
            and relative mCE are reported. Defaults to None.
        seed (int): Seed of the corruptions. Defaults to 0.
        backend (str): Generator of the corruptions: ``'engine'``, the project's own, or
            ``'imagecorruptions'``, which reproduces published sets. Defaults to ``'engine'``.
        cells_per_batch (int): Largest number of cells of an image that go through the model at a
            time; it bounds the device's memory. The clean image goes alone, as in the stock test.
            Defaults to 8, which is meant for large images.
        pixels (str): Where cells are made: ``'device'``, or ``'host'``, which takes every cell
            through the pipeline itself in the data loader's workers. With a pipeline that the
            device path does not know, and with ``'imagecorruptions'``, it is the host in any case.
            Defaults to ``'device'``.
        store (str, optional): Folder of the finished images. Defaults to one in the work folder
            that is named after what decides the numbers.
        out_file (str, optional): A second place for the record, beside the one in the run's log
            folder, ``robustness.json``. Defaults to None.
        fp16 (bool): Whether to test under autocast. Defaults to False.
        attention (str): ``'fused'`` computes the attention of mmcv's ``MultiheadAttention`` by
            PyTorch's fused kernels, equal to rounding, see
            :mod:`mmseg_robust.models.fused_attention`; ``'stock'`` as the stock loop does, to the
            bit. Defaults to ``'fused'``.

    Raises:
        InputError: If the protocol or the backend is unknown, the baseline is missing or of another
            protocol, measure or classes, the output cannot be written, or dataset, model and
            evaluator do not fit the loop.

    Example:
        >>> test_cfg = dict(type='RobustnessTestLoop', protocol='cityscapes-c')
    """

    stage = "test"

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: Evaluator | dict | list,
        protocol: str,
        baseline: str | None = None,
        seed: int = 0,
        backend: str = "engine",
        cells_per_batch: int = 8,
        pixels: str = "device",
        store: str | None = None,
        out_file: str | None = None,
        fp16: bool = False,
        attention: str = "fused",
    ) -> None:
        self.baseline = (
            None if baseline is None else read_baseline(baseline, get_protocol(protocol))
        )
        if out_file is not None:
            check_writable(out_file)
        super().__init__(
            runner, dataloader, evaluator, protocol, seed, backend, cells_per_batch, pixels, fp16,
            attention,
        )  # fmt: skip
        self.seed = seed
        self.backend = backend
        self.store = store
        self.out_file = out_file
        if self.baseline is not None:
            images = self.cells.dataset.num_images
            check_measure(self.baseline, self.task.measure)
            check_classes(self.baseline, self.task.classes)
            warn_of_differences(self.baseline, images, seed, backend, runner.logger)

    def run(self) -> dict[str, float]:
        """Runs the test.

        Returns:
            dict[str, float]: The stock metrics on the clean images, then those of
            :func:`mmseg_robust.evaluation.record.flat_metrics`.

        Raises:
            InputError: If an image or label cannot be measured.
        """
        self._started = datetime.now(timezone.utc)
        self.cells.dataset[0]  # bad input shows here, before workers and hooks start
        self._call("before_{}")
        self._call("before_{}_epoch")
        self.runner.model.eval()
        with self._model_as_tested():
            try:
                sums = self._measure()
            except InputError as error:
                raise InputError(message_of(error)) from error
            metrics = self._finish(sums)
        self._call("after_{}_epoch", metrics=metrics)
        self._call("after_{}")
        return metrics

    def _measure(self) -> ResultSums:
        """Results of all images: from the store what is there, the others tested."""
        store, sums = self._open_store(), self._empty_sums()
        barrier()  # before one of them sweeps, all have the store
        missing = self._take_finished(store, sums)
        with drawing_by_cell(self.runner.visualizer, self.protocol, self.cells.image):
            for image, result in self._tested(missing):
                store.write(image, result)
                sums.add(image, result)
        self._join(sums)
        return sums

    def _open_store(self) -> ResultStore:
        runner, paths = self.runner, self.cells.dataset.paths()
        precision = "autocast" if self.fp16 else "as the model"
        identity = run_identity(
            runner.model, runner.cfg, self.protocol, paths, precision=precision, **self.settings
        )
        folder = self.store or default_folder(runner.work_dir, self.protocol, identity)
        return ResultStore(folder, identity, len(self.protocol.passes), self.task.image_kind)

    def _take_finished(self, store: ResultStore, sums: ResultSums) -> list[int]:
        """Adds what is in the store on the first rank, and tells all ranks what is not."""
        missing = list(range(self.cells.dataset.num_images))
        # Label maps and pictures are not in the store: with them every image is tested.
        if is_main_process() and not (self.task.saver or is_drawing(self.runner)):
            sweep(store.folder)
            finished = []
            for image in missing:
                result = store.read(image)
                if result is not None:
                    sums.add(image, result)
                    finished.append(image)
            count = len(missing)
            missing = sorted(set(missing) - set(finished))
            if finished:
                print_log(
                    f"{len(finished)} of {count} images were measured before and come "
                    f"from {str(store.folder)!r}.",
                    self.runner.logger,
                )
        told = [missing]
        broadcast_object_list(told)
        return told[0]

    def _finish(self, sums: ResultSums) -> dict[str, float]:
        """Reports, and gives the metrics."""
        figures: list[dict[str, float]] = [{}]
        if is_main_process():
            run = sums.finish(self.cells.dataset.names())
            record = build_record(
                self.protocol, run, self.task.classes, self._provenance(), self.baseline
            )
            log_record(record, self.protocol, self.runner.logger)
            self._write(record, run)
            figures = [{f"robustness/{key}": value for key, value in flat_metrics(record).items()}]
        broadcast_object_list(figures)
        return {**self.task.clean_metrics(sums, self.cells.dataset.paths()), **figures[0]}

    def _provenance(self) -> dict[str, Any]:
        checkpoint = self.runner._load_from
        return {
            **self.settings,
            "config": self.runner.cfg.filename,
            "checkpoint": None if checkpoint is None else str(checkpoint),
            "fp16": self.fp16,
            "started": self._started.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(timezone.utc) - self._started).total_seconds(), 1),
            "versions": package_versions(),
        }

    def _write(self, record: dict[str, Any], run: RunResult) -> None:
        """Writes the report's files."""
        folder = self.runner.log_dir
        paths = write_report(folder, record, run, self.protocol)
        page = os.path.join(folder, "robustness.html")
        worst = picture_worst(self.task, self.runner, self.cells, self.protocol, run)
        write_page(page, record, None if self.baseline is None else self.baseline.record, worst)
        print_log(f"Robustness report written to {page}", self.runner.logger)
        print_log(f"Robustness record written to {paths[0]}", self.runner.logger)
        if self.out_file is not None:
            write_record(record, self.out_file)
            write_counts(run, images_path(self.out_file))
            print_log(f"Robustness record written to {self.out_file}", self.runner.logger)
