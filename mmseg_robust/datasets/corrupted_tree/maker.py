"""Makes the corrupted copies of a few images at a time: decode, corrupt, encode, write."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from mmseg_robust.corruptions import CLEAN, Cell, corrupt, image_seed
from mmseg_robust.corruptions.backends import get_backend
from mmseg_robust.datasets.corrupted_tree.records import Journal, Recipe
from mmseg_robust.datasets.corrupted_tree.sources import read_image
from mmseg_robust.errors import InputError
from mmseg_robust.files import write_whole


class Job(NamedTuple):
    """An image and the cells in which it is missing.

    Args:
        name (str): Path of the image under the source folder, with slashes.
        cells (tuple[Cell, ...]): The cells.
    """

    name: str
    cells: tuple[Cell, ...]


class Flag(Protocol):
    """An event of ``threading`` or ``multiprocessing``."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...


@dataclass
class Report:
    """What became of some jobs.

    Args:
        done (int): Files that were written.
        failed (list[str]): A message for each image that could not be corrupted.
        stopped (str, optional): Why nothing more can be written.
    """

    done: int = 0
    failed: list[str] = field(default_factory=list)
    stopped: str | None = None

    def add(self, other: Report) -> None:
        """Adds what became of other jobs."""
        self.done += other.done
        self.failed += other.failed
        self.stopped = self.stopped or other.stopped


def suffix_of(cell: Cell, recipe: Recipe) -> str:
    """Extension of a cell's files; clean images lose nothing, also where the others are JPEG."""
    return ".png" if recipe.jpeg_quality is None or cell == CLEAN else ".jpg"


def target_of(name: str, cell: Cell, recipe: Recipe) -> str:
    """Path of a corrupted image under the tree.

    Args:
        name (str): Path of the image under the source folder, with slashes.
        cell (Cell): Its cell.
        recipe (Recipe): That of the tree.

    Returns:
        str: ``clean/NAME.png`` or ``<corruption>/<severity>/NAME.png``, with slashes.
    """
    return f"{cell}/{os.path.splitext(name)[0]}{suffix_of(cell, recipe)}"


def encode(bgr: np.ndarray, cell: Cell, recipe: Recipe) -> bytes:
    """An image as the bytes of its file.

    Args:
        bgr (np.ndarray): BGR, uint8, shape (H, W, 3).
        cell (Cell): Its cell.
        recipe (Recipe): That of the tree.

    Returns:
        bytes: PNG or JPEG.
    """
    suffix = suffix_of(cell, recipe)
    options = []  # OpenCV's default for PNG is its fastest, and hardly larger than its smallest
    if suffix == ".jpg":
        assert recipe.jpeg_quality is not None
        options = [cv2.IMWRITE_JPEG_QUALITY, recipe.jpeg_quality]
    return cv2.imencode(suffix, bgr, options)[1].tobytes()


def corrupted_arrays(
    images: Sequence[np.ndarray], names: Sequence[str], cell: Cell, recipe: Recipe
) -> list[np.ndarray]:
    """Corrupts images on the CPU one by one, by the recipe's backend.

    Args:
        images (Sequence[np.ndarray]): BGR, uint8, each of shape (H, W, 3).
        names (Sequence[str]): Their paths, for the seeds.
        cell (Cell): The cell.
        recipe (Recipe): Seed and backend.

    Returns:
        list[np.ndarray]: BGR, uint8, of the same shapes.
    """
    if cell == CLEAN:
        return list(images)
    apply = get_backend(recipe.backend).corrupt
    seeds = [image_seed(recipe.seed, name) for name in names]
    pairs = zip(images, seeds)
    return [
        np.ascontiguousarray(apply(bgr[..., ::-1], *cell, seed)[..., ::-1]) for bgr, seed in pairs
    ]


class Maker:
    """Makes and stores the corrupted copies of images; one a process.

    Args:
        source (Path): Folder of the clean images.
        out (Path): The tree.
        recipe (Recipe): What decides the bytes.
        device (str): Where the engine runs, ``'cpu'`` or ``'cuda:0'`` and so on.
        threads (int): Threads that decode, encode and write while the device corrupts.
        stop (Flag): Once set, by anybody, nothing more is begun.
    """

    def __init__(
        self, source: Path, out: Path, recipe: Recipe, device: str, threads: int, stop: Flag
    ) -> None:
        self.source = source
        self.out = out
        self.recipe = recipe
        self.device = torch.device(device)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        self.stop = stop
        self._threads = ThreadPoolExecutor(threads)
        # Enough to keep the threads busy, and a bound for the memory.
        self._most_waiting = 2 * threads
        self._journal = Journal(out)

    def close(self) -> None:
        """Ends the threads and closes the journal."""
        self._threads.shutdown()
        self._journal.close()

    def __call__(self, jobs: Sequence[Job]) -> Report:
        """Makes all that some jobs ask for.

        Args:
            jobs (Sequence[Job]): Images, best of equal size, which are corrupted as one batch.

        Returns:
            Report: What became of them. Images that cannot be read or corrupted are in it; if a
            file cannot be written, ``stop`` is set.
        """
        report = Report()
        images: dict[str, np.ndarray] = {}
        reading = {
            job.name: self._threads.submit(read_image, self.source / job.name) for job in jobs
        }
        for name, future in reading.items():
            try:
                images[name] = future.result()
            except InputError as error:
                report.failed.append(str(error))
        try:
            for group in _by_shape(jobs, images):
                self._make(group, images, report)
        except torch.cuda.OutOfMemoryError:
            self.stop.set()
            report.stopped = (
                f"{self.device} has too little memory for {len(jobs)} images at a time: give a "
                "smaller --batch-size"
            )
        return report

    def _make(self, jobs: Sequence[Job], images: dict[str, np.ndarray], report: Report) -> None:
        """Makes all cells of images of one size."""
        waiting: deque[Future[None]] = deque()
        tensors = self._tensors(images[job.name] for job in jobs)
        try:
            for cell in dict.fromkeys(cell for job in jobs for cell in job.cells):
                places = [place for place, job in enumerate(jobs) if cell in job.cells]
                names = [jobs[place].name for place in places]
                if tensors is None or cell == CLEAN:
                    arrays = corrupted_arrays(
                        [images[name] for name in names], names, cell, self.recipe
                    )
                else:
                    arrays = self._corrupt_batch(tensors, places, names, cell)
                for name, bgr in zip(names, arrays):
                    waiting.append(self._threads.submit(self._store, name, cell, bgr))
                while len(waiting) > self._most_waiting:
                    self._finish(waiting.popleft(), report)
                if self.stop.is_set():
                    break
        finally:
            for future in waiting:
                self._finish(future, report)

    def _tensors(self, images: Iterable[np.ndarray]) -> Tensor | None:
        """A batch for the engine: RGB, uint8, (N, 3, H, W); None for the other backend."""
        if self.recipe.backend != "engine":
            return None
        batch = torch.from_numpy(np.stack(list(images))).to(self.device)
        return batch.flip(3).permute(0, 3, 1, 2).contiguous()

    def _corrupt_batch(
        self, tensors: Tensor, places: list[int], names: list[str], cell: Cell
    ) -> list[np.ndarray]:
        """Some images of a batch in one cell: BGR, uint8, each (H, W, 3)."""
        seeds = [image_seed(self.recipe.seed, name) for name in names]
        part = tensors if len(places) == len(tensors) else tensors[places]
        corrupted = corrupt(part, cell.corruption, cell.severity, seeds)
        return list(corrupted.permute(0, 2, 3, 1).flip(3).contiguous().cpu().numpy())

    def _store(self, name: str, cell: Cell, bgr: np.ndarray) -> None:
        """Encodes and writes one image; the journal knows a file before it appears."""
        if self.stop.is_set():
            raise _Stopped
        target = target_of(name, cell, self.recipe)
        path = self.out / target
        data = encode(bgr, cell, self.recipe)
        entry = {"files": {target: hashlib.sha256(data).hexdigest()}}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data, before=lambda: self._journal.append(entry))

    def _finish(self, future: Future[None], report: Report) -> None:
        """Waits for a file."""
        try:
            future.result()
            report.done += 1
        except _Stopped:
            pass
        except OSError as error:
            self.stop.set()
            report.stopped = report.stopped or f"Cannot write to {str(self.out)!r}: {error}"


class _Stopped(Exception):
    """Raised for a file that is no longer to be written."""


def _by_shape(jobs: Sequence[Job], images: dict[str, np.ndarray]) -> Iterator[list[Job]]:
    """The jobs whose image was read, in groups of equal size."""
    groups: dict[tuple[int, ...], list[Job]] = {}
    for job in jobs:
        if job.name in images:
            groups.setdefault(images[job.name].shape, []).append(job)
    yield from groups.values()
