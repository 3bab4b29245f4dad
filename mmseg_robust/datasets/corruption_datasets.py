"""Cityscapes-C, ADE20K-C and CamVid-C: from a stored tree, or on the fly from the clean data."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from typing import Any

from mmengine import fileio
from mmseg.datasets import ADE20KDataset, BaseSegDataset, CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_robust.corruptions import CLEAN, Cell, get_protocol
from mmseg_robust.corruptions.checks import check_severity
from mmseg_robust.corruptions.registry import find_corruption
from mmseg_robust.datasets.camvid import CamVidDataset
from mmseg_robust.datasets.transforms import CORRUPTION_KEY, CorruptImage
from mmseg_robust.errors import InputError


class CorruptedImages(BaseSegDataset):
    """What makes a corrupted data set of a segmentation data set; to be mixed in before it.

    ``data_root`` and ``data_prefix`` are those of the clean data, whose labels are used as they
    are. Images come from one of two places:

    - ``stored``: a folder that ``tools/dataset_converters/corrupt_dataset.py`` has made of the
      clean images, or another one of the same layout, ``clean/...`` and
      ``<corruption>/<severity>/...``. The files may have another extension than the clean ones.
      Either one cell (``corruption``, ``severity``) or all cells of a ``protocol``, clean images
      first; for the latter the evaluator is ``CorruptionErrorMetric``.
    - without ``stored``, each image is corrupted once the pipeline has loaded it, at its own
      resolution: one cell. All cells of a protocol on the fly: ``RobustnessTestLoop``.

    Args:
        corruption (str, optional): Name of the corruption.
        severity (int, optional): 1 to 5, or 0 for the clean images.
        stored (str, optional): Folder that holds the cells. Defaults to None, on the fly.
        protocol (str, optional): Name of a protocol, in place of corruption and severity.
        seed (int): Seed of what is made on the fly. Defaults to 0.
        backend (str): Generator of what is made on the fly, see :class:`CorruptImage`. Defaults to
            ``'engine'``.
        pipeline (Sequence): The pipeline of the clean data set.
        **stock (Any): The arguments of the clean data set's class.

    Raises:
        InputError: If the arguments do not fit each other, a name is unknown, the pipeline does not
            load images, or the stored tree lacks images.
    """

    def __init__(
        self,
        corruption: str | None = None,
        severity: int | None = None,
        stored: str | None = None,
        protocol: str | None = None,
        seed: int = 0,
        backend: str = "engine",
        pipeline: Sequence[Any] = (),
        **stock: Any,
    ) -> None:
        self.cells = _cells(corruption, severity, protocol)
        self.stored = stored
        if stored is None:
            if corruption is None or severity is None:
                raise InputError(
                    "A protocol needs the folder of a stored tree ('stored'); on the fly, measure "
                    "it with test_cfg=dict(type='RobustnessTestLoop', protocol=...)."
                )
            step = CorruptImage(corruption, severity, seed=seed, backend=backend)
            pipeline = _after_loader(pipeline, step)
        super().__init__(pipeline=list(pipeline), **stock)

    def load_data_list(self) -> list[dict]:
        """Lists the images of all cells, cell after cell.

        Returns:
            list[dict]: As the clean data set's; stored images also tell their cell.

        Raises:
            InputError: If a cell of the stored tree lacks images.
        """
        infos = super().load_data_list()
        if self.stored is None:
            return infos
        return [info for cell in self.cells for info in self._stored_in(cell, infos)]

    def _stored_in(self, cell: Cell, infos: list[dict]) -> list[dict]:
        """The images of one cell for the clean ones, which differ in folder and extension."""
        assert self.stored is not None
        folder = osp.join(self.stored, str(cell))
        if not fileio.isdir(folder, backend_args=self.backend_args):
            raise InputError(f"The stored tree {self.stored!r} has no folder {str(cell)!r}.")
        files = fileio.list_dir_or_file(
            folder, list_dir=False, recursive=True, backend_args=self.backend_args
        )
        by_stem = {osp.splitext(file)[0]: file for file in files}
        clean_folder = self.data_prefix["img_path"]
        stems = [osp.splitext(osp.relpath(info["img_path"], clean_folder))[0] for info in infos]
        missing = [stem for stem in stems if stem not in by_stem]
        if missing:
            raise InputError(
                f"{folder!r} lacks {len(missing)} of {len(stems)} images, the first is "
                f"{missing[0]!r}: complete it with tools/dataset_converters/corrupt_dataset.py."
            )
        return [
            {**info, "img_path": osp.join(folder, by_stem[stem]), CORRUPTION_KEY: cell}
            for info, stem in zip(infos, stems)
        ]


@DATASETS.register_module()
class CityscapesCDataset(CorruptedImages, CityscapesDataset):
    """Cityscapes-C: ``CityscapesDataset`` with corrupted images, see :class:`CorruptedImages`.

    Example:
        >>> one_cell = dict(type='CityscapesCDataset', corruption='fog', severity=3, ...)
        >>> stored = dict(type='CityscapesCDataset', stored='data/cityscapes-c',
        ...               protocol='cityscapes-c', ...)
    """


@DATASETS.register_module()
class ADE20KCDataset(CorruptedImages, ADE20KDataset):
    """ADE20K-C: ``ADE20KDataset`` with corrupted images, see :class:`CorruptedImages`.

    No standard ADE20K-C exists; the protocol ``ade20k-c`` is the project's own.
    """


@DATASETS.register_module()
class CamVidCDataset(CorruptedImages, CamVidDataset):
    """CamVid-C: :class:`CamVidDataset` with corrupted images, see :class:`CorruptedImages`."""


def _cells(corruption: str | None, severity: int | None, protocol: str | None) -> tuple[Cell, ...]:
    """The cells that are asked for, either way."""
    one = corruption is not None and severity is not None
    if (protocol is not None) == one or (corruption is None) != (severity is None):
        raise InputError(
            "A corrupted data set needs either 'corruption' and 'severity', or 'protocol'."
        )
    if protocol is not None:
        return get_protocol(protocol).passes
    assert corruption is not None and severity is not None
    find_corruption(corruption)  # raises if there is none
    return (Cell(corruption, severity) if check_severity(severity) else CLEAN,)


def _after_loader(pipeline: Sequence[Any], step: CorruptImage) -> list[Any]:
    """A pipeline with a step behind its image loader; an empty one stays empty."""
    for place, transform in enumerate(pipeline):
        kind = transform["type"] if isinstance(transform, dict) else type(transform)
        if str(getattr(kind, "__name__", kind)).endswith("LoadImageFromFile"):
            return [*pipeline[: place + 1], step, *pipeline[place + 1 :]]
    if pipeline:
        raise InputError(
            "The pipeline has no LoadImageFromFile, after which the image would be corrupted."
        )
    return []
