"""Robustness of a segmentor under the stock test loop, over a stored corrupted dataset."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS
from torch import Tensor

from mmseg_robust.corruptions import ALL_NAMES, CLEAN, Cell, get_protocol
from mmseg_robust.corruptions.names import MAX_SEVERITY
from mmseg_robust.datasets.corrupted_tree.records import MANIFEST, read_manifest
from mmseg_robust.errors import InputError
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


@METRICS.register_module()
class CorruptionErrorMetric(BaseMetric):
    """mIoU by cell, groups, retention and, against a baseline, mCE over a stored corrupted tree.

    The dataset must list the images of all cells. The cell of an image is read from its path::

        <root>/clean/...
        <root>/<corruption>/<severity>/...

    Cells that the protocol does not have are left out, so one tree serves several protocols.

    Args:
        protocol (str): Name of the protocol, see ``mmseg_robust.corruptions.PROTOCOLS``.
        root (str): Folder that holds the cells.
        baseline (str, optional): ``robustness.json`` of another run of the same protocol. Defaults
            to None.
        ignore_index (int): Label to leave out. Defaults to 255.
        out_file (str, optional): Where to write the record, see
            :mod:`mmseg_robust.evaluation.report`. Defaults to None.
        collect_device (str): ``'cpu'`` or ``'gpu'``, see MMEngine's ``BaseMetric``.
        prefix (str, optional): Prefix of the metrics' names. Defaults to ``'robustness'``.

    Raises:
        InputError: If the protocol is unknown, the baseline is missing or of another protocol, or
            ``out_file`` cannot be written; later, if the dataset names no classes or the baseline
            has other ones, a path fits no cell, or a cell lacks images.

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
        self.ignore_index = ignore_index
        self.out_file = out_file
        self._index = {cell: index for index, cell in enumerate(self.protocol.passes)}
        if out_file is not None:
            check_writable(out_file)

    @property
    def _classes(self) -> tuple[str, ...]:
        return dataset_classes(self.dataset_meta)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Counts the pixels of a batch.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): The segmentor's outputs as dicts.

        Raises:
            InputError: If the dataset names no classes, the baseline has other ones, a path fits
                no cell, or a label is missing or of another size than the prediction.
        """
        if self.baseline is not None:
            check_classes(self.baseline, self._classes)  # here first: not after a long run
        for sample in data_samples:
            cell = cell_of_path(sample["img_path"], self.root)
            areas, has_nan = count_sample(sample, len(self._classes), self.ignore_index)
            self.results.append((cell, areas.cpu(), has_nan.cpu()))

    def compute_metrics(self, results: list[tuple[Cell, Tensor, Tensor]]) -> dict[str, float]:
        """Makes the figures.

        Args:
            results (list[tuple[Cell, Tensor, Tensor]]): Cell, counts and NaN flag of each image.

        Returns:
            dict[str, float]: See :func:`mmseg_robust.evaluation.report.flat_metrics`, and one entry
            a cell, ``<corruption>/<severity>``. Rounded mIoU in percent.

        Raises:
            InputError: If the cells of the protocol do not hold the same number of images.
        """
        counts = CellCounts(len(self._index), len(self._classes))
        for cell, areas, has_nan in results:
            if cell in self._index:
                counts.add(self._index[cell], areas, has_nan)
        self._check_complete(counts)
        logger = MMLogger.get_current_instance()
        recipe = _recipe(self.root)
        if self.baseline is not None:
            seed, backend = recipe.get("seed"), recipe.get("backend")
            warn_of_differences(self.baseline, int(counts.images[0]), seed, backend, logger)
        run = {"root": self.root, **recipe, "versions": package_versions()}
        record = build_record(self.protocol, counts, self._classes, run, self.baseline)
        log_record(record, self.protocol, logger)
        if self.out_file is not None:
            write_record(record, self.out_file)
        cells = {f"{e['corruption']}/{e['severity']}": e["mIoU"] for e in record["cells"]}
        return {**flat_metrics(record), **{name: round(v, 2) for name, v in cells.items()}}

    def _check_complete(self, counts: CellCounts) -> None:
        images = counts.images.tolist()
        for cell, found in zip(self.protocol.passes, images):
            if found != max(images) or found == 0:
                raise InputError(
                    f"Cell {cell} of {self.protocol.name} has {found} images under {self.root!r}, "
                    f"others have {max(images)}: the stored tree is not complete."
                )


def cell_of_path(path: str, root: str) -> Cell:
    """Reads the cell of a stored image from its path.

    Args:
        path (str): Path of the image.
        root (str): Folder that holds the cells.

    Returns:
        Cell: The cell, with a known corruption and a severity from 1 to 5, or ``CLEAN``.

    Raises:
        InputError: If the path does not lie in a cell's folder.
    """
    parts = os.path.relpath(path, root).split(os.sep)
    if parts[0] == CLEAN.corruption:
        return CLEAN
    severities = [str(severity) for severity in range(1, MAX_SEVERITY + 1)]
    if len(parts) > 2 and parts[0] in ALL_NAMES and parts[1] in severities:
        return Cell(parts[0], int(parts[1]))
    raise InputError(
        f"Cannot tell the corruption of {path!r}. Stored images must lie in "
        f"{os.path.join(root, 'clean')} or {os.path.join(root, '<corruption>', '<severity>')} with "
        f"a severity from 1 to {MAX_SEVERITY} and one of the names {', '.join(ALL_NAMES)}."
    )


def _recipe(root: str) -> dict[str, Any]:
    """What a stored tree was made with, nothing if it does not tell.

    Trees of tools/dataset_converters/corrupt_dataset.py do, others need not.
    """
    folder = Path(root)
    return read_manifest(folder)["recipe"] if (folder / MANIFEST).is_file() else {}
