"""The processes that make a tree: several on the CPU, or one a GPU."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import torch

from mmseg_robust.datasets.corrupted_tree.maker import Job, Maker, Report
from mmseg_robust.datasets.corrupted_tree.records import Recipe


class Team:
    """Processes that share the work; a context manager, which ends them.

    Args:
        source (Path): Folder of the clean images.
        out (Path): The tree.
        recipe (Recipe): What decides the bytes.
        devices (Sequence[str]): Where the engine runs: ``['cpu']``, or GPUs.
        workers (int): On the CPU, processes; on GPUs, threads of each one's process. 0: no other
            process than this.
    """

    def __init__(
        self, source: Path, out: Path, recipe: Recipe, devices: Sequence[str], workers: int
    ) -> None:
        on_cpu = list(devices) == ["cpu"]
        self._context = _context(on_cpu)
        self.stop = self._context.Event()
        self._setting = (source, out, recipe)
        self._devices = list(devices) * (max(1, workers) if on_cpu else 1)
        self._threads = 1 if on_cpu else max(1, workers)
        self._alone = workers == 0
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.stop.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, batches: Sequence[Sequence[Job]]) -> Iterator[Report]:
        """Does the work; ends early once nothing can be written.

        Args:
            batches (Sequence[Sequence[Job]]): The work.

        Yields:
            Report: What became of a batch, in any order.
        """
        return self._run_alone(batches) if self._alone else self._run_pool(batches)

    def _run_alone(self, batches: Sequence[Sequence[Job]]) -> Iterator[Report]:
        maker = Maker(*self._setting, self._devices[0], self._threads, self.stop)
        try:
            for batch in batches:
                if self.stop.is_set():
                    break
                yield maker(batch)
        finally:
            maker.close()

    def _run_pool(self, batches: Sequence[Sequence[Job]]) -> Iterator[Report]:
        devices = self._devices[: max(1, len(batches))]
        queue = self._context.SimpleQueue()
        for device in devices:
            queue.put(device)
        setting = (*self._setting, queue, self._threads, self.stop)
        self._pool = ProcessPoolExecutor(len(devices), self._context, _begin, setting)
        for future in as_completed([self._pool.submit(_work, batch) for batch in batches]):
            try:
                yield future.result()
            except BrokenProcessPool:
                yield Report(
                    stopped="A process ended by itself, killed for lack of memory if nothing "
                    "above says why"
                )
                return


def _context(on_cpu: bool) -> Any:
    """How processes begin: not forked from this one, whose GPU, threads and lock are its own.

    On the CPU one server imports what is needed, once, and the others are forked from it. The
    import asks for CUDA devices, after which a forked process cannot use them.
    """
    if not on_cpu:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


_maker: Maker | None = None


def _begin(
    source: Path, out: Path, recipe: Recipe, devices: SimpleQueue[str], threads: int, stop: Any
) -> None:
    """Prepares a process."""
    global _maker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process tells when to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    _maker = Maker(source, out, recipe, devices.get(), threads, stop)


def _end_with_parent() -> None:
    """Ends this process as soon as the first one is gone, which a kill leaves no time to say."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(batch: Sequence[Job]) -> Report:
    assert _maker is not None
    if _maker.stop.is_set():
        return Report()
    return _maker(batch)
