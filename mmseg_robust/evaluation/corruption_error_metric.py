"""Robustness of a segmentor under the stock test loop, over a stored corrupted dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS

from mmseg_robust.corruptions import Cell, get_protocol
from mmseg_robust.datasets.corrupted_tree.records import MANIFEST, read_manifest
from mmseg_robust.evaluation.baseline import read_baseline
from mmseg_robust.evaluation.comparison import (
    check_classes,
    check_measure,
    dataset_classes,
    warn_of_differences,
)
from mmseg_robust.evaluation.image_counts import ImageCounts
from mmseg_robust.evaluation.measures import MIOU
from mmseg_robust.evaluation.pass_counts import PassCounter, with_own_logits
from mmseg_robust.evaluation.provenance import package_versions
from mmseg_robust.evaluation.record import build_record, flat_metrics
from mmseg_robust.evaluation.record_files import images_path, write_counts, write_record
from mmseg_robust.evaluation.stored_counts import cell_of_path, join_stored, name_in_cell
from mmseg_robust.evaluation.table import log_record
from mmseg_robust.files import check_writable


@METRICS.register_module()
class CorruptionErrorMetric(BaseMetric):
    """mIoU by cell, groups, retention and, against a baseline, mCE over a stored corrupted tree.

    The record is that of ``RobustnessTestLoop``, from the same arithmetic, without flip rates: the
    predictions of an image at neighbouring severities are never at hand together. The dataset must
    list the images of all cells. The cell of an image is read from its path::

        <root>/clean/...
        <root>/<corruption>/<severity>/...

    Cells that the protocol does not have are left out, so one tree serves several protocols.

    Args:
        protocol (str): Name of the protocol, see ``mmseg_robust.corruptions.PROTOCOLS``.
        root (str): Folder that holds the cells.
        baseline (str, optional): ``robustness.json`` of another run of the same protocol, or the
            name of a published baseline. Defaults to None.
        ignore_index (int): Label to leave out. Defaults to 255.
        out_file (str, optional): Where to write the record, see
            :mod:`mmseg_robust.evaluation.record`; the counts by image go beside it, see
            :func:`mmseg_robust.evaluation.record_files.images_path`. Defaults to None.
        collect_device (str): ``'cpu'`` or ``'gpu'``, see MMEngine's ``BaseMetric``.
        prefix (str, optional): Prefix of the metrics' names. Defaults to ``'robustness'``.

    Raises:
        InputError: If the protocol is unknown, the baseline is missing, of another protocol or of a
            classifier, or ``out_file`` cannot be written; later, if the dataset names no classes or
            the baseline has other ones, a path fits no cell, or a cell lacks images.

    Example:
        >>> test_evaluator = dict(type='CorruptionErrorMetric', protocol='cityscapes-c',
        ...                       root='data/cityscapes-c')
    """

    default_prefix = "robustness"

    def __init__(
        self,
        protocol: str,
        root: str,
        baseline: str | None = None,
        ignore_index: int = 255,
        out_file: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.protocol = get_protocol(protocol)
        self.root = root
        self.baseline = None if baseline is None else read_baseline(baseline, self.protocol)
        if self.baseline is not None:
            check_measure(self.baseline, MIOU)
        self.ignore_index = ignore_index
        self.out_file = out_file
        if out_file is not None:
            check_writable(out_file)

    @property
    def _classes(self) -> tuple[str, ...]:
        return dataset_classes(self.dataset_meta)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Counts the pixels of a batch.

        Args:
            data_batch (Any): The batch, which shows test-time augmentation.
            data_samples (Sequence[dict]): The segmentor's outputs as dicts.

        Raises:
            InputError: If the dataset names no classes, the baseline has other ones, a path fits
                no cell, or a label is missing or of another size than the prediction.
        """
        if self.baseline is not None:
            check_classes(self.baseline, self._classes)  # here first: not after a long run
        for sample in data_samples:
            cell = cell_of_path(sample["img_path"], self.root)
            name = name_in_cell(sample["img_path"], cell, self.root)
            # Each image comes alone, in any order and on any rank: a protocol of one pass.
            counter = PassCounter(name, (cell,), len(self._classes), self.ignore_index)
            counter.add(0, with_own_logits(sample, data_batch))
            self.results.append((cell, counter.finish().wait()))

    def compute_metrics(self, results: list[tuple[Cell, ImageCounts]]) -> dict[str, float]:
        """Makes the figures.

        Args:
            results (list[tuple[Cell, ImageCounts]]): Cell of each stored image, and its counts with
                one pass.

        Returns:
            dict[str, float]: See :func:`mmseg_robust.evaluation.record.flat_metrics`, and one entry
            a cell, ``<corruption>/<severity>``. Rounded mIoU in percent.

        Raises:
            InputError: If the cells of the protocol do not hold the same images, or one twice.
        """
        counts = join_stored(results, self.protocol, self.root, len(self._classes))
        logger = MMLogger.get_current_instance()
        recipe = _recipe(self.root)
        if self.baseline is not None:
            seed, backend = recipe.get("seed"), recipe.get("backend")
            warn_of_differences(self.baseline, len(counts.names), seed, backend, logger)
        run = {"root": self.root, **recipe, "versions": package_versions()}
        record = build_record(self.protocol, counts, self._classes, run, self.baseline)
        log_record(record, self.protocol, logger)
        if self.out_file is not None:
            write_record(record, self.out_file)
            write_counts(counts, images_path(self.out_file))
        cells = {f"{e['corruption']}/{e['severity']}": e["mIoU"] for e in record["cells"]}
        return {**flat_metrics(record), **{name: round(v, 2) for name, v in cells.items()}}


def _recipe(root: str) -> dict[str, Any]:
    """What a stored tree was made with, nothing if it does not tell.

    Trees of tools/dataset_converters/corrupt_dataset.py do, others need not.
    """
    folder = Path(root)
    return read_manifest(folder)["recipe"] if (folder / MANIFEST).is_file() else {}
