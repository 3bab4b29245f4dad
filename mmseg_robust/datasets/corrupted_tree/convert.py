"""The conversion as a whole: what is missing, does it fit, who makes it, and the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg_robust.corruptions import CLEAN, Cell, Protocol
from mmseg_robust.corruptions.backends import get_backend
from mmseg_robust.corruptions.names import MIN_SIDE
from mmseg_robust.datasets.corrupted_tree.maker import Job, Report, target_of
from mmseg_robust.datasets.corrupted_tree.records import (
    JOURNAL,
    MANIFEST,
    Journal,
    Recipe,
    Records,
    locked,
    read_records,
    write_manifest,
)
from mmseg_robust.datasets.corrupted_tree.sources import Source, list_sources
from mmseg_robust.datasets.corrupted_tree.space import check_space, estimate_bytes, in_words
from mmseg_robust.datasets.corrupted_tree.team import Team
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.provenance import package_versions
from mmseg_robust.files import sweep


@dataclass(frozen=True)
class Order:
    """A conversion that is asked for.

    Args:
        source (Path): Folder of the clean images.
        out (Path): Folder of the tree; one that was begun is continued.
        cells (tuple[Cell, ...]): The corrupted cells; the clean one is always made.
        recipe (Recipe): What decides the bytes.
        protocol (Protocol, optional): Whose cells they are, for the manifest.
        devices (tuple[str, ...]): Where the engine runs, one process a device; ``('cpu',)``.
        workers (int): Processes on the CPU, threads a device otherwise. 0: this process alone.
        batch_size (int): Images of equal size that are corrupted at a time.
        force (bool): Whether to begin although the disk seems too small.
    """

    source: Path
    out: Path
    cells: tuple[Cell, ...]
    recipe: Recipe
    protocol: Protocol | None = None
    devices: tuple[str, ...] = ("cpu",)
    workers: int = 0
    batch_size: int = 1
    force: bool = False


@dataclass
class Outcome:
    """How a conversion ended.

    Args:
        files (int): Files of the tree that are there.
        failed (list[str]): A message for each image that is missing in it.
        stopped (str, optional): Why the conversion ended early.
    """

    files: int
    failed: list[str]
    stopped: str | None


def convert(
    order: Order,
    say: Callable[[str], None] = print,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Makes what is missing of a tree.

    Args:
        order (Order): What to make.
        say (Callable): Takes messages to the user.
        tick (Callable): Called as files are done with their number and that of all to do.

    Returns:
        Outcome: What became of it. Unless it was stopped the tree has a manifest.

    Raises:
        InputError: If the order cannot be carried out; nothing has been written then.
    """
    _check_folders(order.source, order.out)
    _rehearse(order.cells, order.recipe)
    sources, failed = list_sources(order.source)
    with locked(order.out):
        records = read_records(order.out)
        if records.recipe is not None:
            order.recipe.check_same(records.recipe, order.out)
        elif any(path.name != JOURNAL for path in order.out.iterdir()):
            raise InputError(
                f"{str(order.out)!r} holds files and has no {MANIFEST}: it was not made by this "
                "converter, which would write over them. Choose another folder."
            )
        jobs = missing_jobs(sources, order, records)
        todo = sum(len(job.cells) for job in jobs)
        needed = estimate_bytes(order.source, sources, jobs, order.recipe)
        say(f"{todo} files to write, about {in_words(needed)}; {len(records.files)} are known.")
        if not order.force:
            check_space(order.out, needed)
        report = _run(order, batches(sources, jobs, order.batch_size), todo, tick)
        records = read_records(order.out)
        failed += report.failed
        if report.stopped is None:
            records.unreadable = failed
            facts = {"source": str(order.source), "versions": package_versions()}
            try:
                write_manifest(order.out, records, facts)
            except OSError as error:
                report.stopped = f"Cannot write the manifest: {error}"
    return Outcome(len(records.files), failed, report.stopped)


def missing_jobs(sources: Sequence[Source], order: Order, records: Records) -> list[Job]:
    """What is not there or not known to the records.

    Args:
        sources (Sequence[Source]): The clean images.
        order (Order): What is asked for.
        records (Records): What was made before.

    Returns:
        list[Job]: One for each image that lacks a cell.
    """
    jobs = []
    for source in sources:
        targets = {
            cell: target_of(source.name, cell, order.recipe) for cell in (CLEAN, *order.cells)
        }
        lacking = tuple(
            cell
            for cell, target in targets.items()
            if target not in records.files or not (order.out / target).is_file()
        )
        if lacking:
            jobs.append(Job(source.name, lacking))
    return jobs


def batches(sources: Sequence[Source], jobs: Sequence[Job], size: int) -> Iterator[list[Job]]:
    """Groups jobs whose images have one size.

    Args:
        sources (Sequence[Source]): The clean images.
        jobs (Sequence[Job]): What is missing.
        size (int): Most jobs in a batch.

    Yields:
        list[Job]: A batch.
    """
    sizes = {source.name: (source.height, source.width) for source in sources}
    groups: dict[tuple[int, int], list[Job]] = {}
    for job in jobs:
        groups.setdefault(sizes[job.name], []).append(job)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _run(
    order: Order, work: Iterator[list[Job]], todo: int, tick: Callable[[int, int], None]
) -> Report:
    """Does the work, with an entry in the journal for what it is done for."""
    report = Report()
    try:
        sweep(order.out)
        _open_journal(order)
    except OSError as error:
        report.stopped = f"Cannot write to {str(order.out)!r}: {error}"
        return report
    if todo:
        tick(0, todo)
    with Team(order.source, order.out, order.recipe, order.devices, order.workers) as team:
        for part in team.run(list(work)):
            report.add(part)
            tick(part.done, todo)
    return report


def _open_journal(order: Order) -> None:
    journal = Journal(order.out)
    protocols = {} if order.protocol is None else {order.protocol.name: order.protocol.version}
    try:
        journal.append({"recipe": vars(order.recipe), "protocols": protocols})
    finally:
        journal.close()


def _check_folders(source: Path, out: Path) -> None:
    one, other = source.resolve(), out.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise InputError(f"{str(out)!r} and {str(source)!r} must not lie in each other.")


def _rehearse(cells: Sequence[Cell], recipe: Recipe) -> None:
    """Finds out before the start whether a corruption is unknown or lacks its textures."""
    backend = get_backend(recipe.backend)
    image = np.arange(MIN_SIDE * MIN_SIDE * 3, dtype=np.uint8).reshape(MIN_SIDE, MIN_SIDE, 3)
    names = list(dict.fromkeys(cell.corruption for cell in cells))
    backend.check(names)
    for name in names:
        backend.corrupt(image, name, 1, 0)
