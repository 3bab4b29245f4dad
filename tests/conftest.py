"""Settings for the whole suite."""

from __future__ import annotations

import functools
import gc
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

# Before torch and OpenCV start their pools: the test processes share the cores.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import pytest  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Settings of a process that runs tests; that which only deals them out loads no torch."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    if not torch.cuda.is_available():
        _skip_gpu(items)
    # At the end a long one would keep one process busy and the others waiting.
    items.sort(key=lambda item: "long" not in item.keywords)
    # MMEngine collects garbage with every data set, and forked processes share what is not touched:
    # what the imports left need not be looked at again.
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let the interpreter clear up as it is used to."""
    gc.unfreeze()


def _skip_gpu(items: list[pytest.Item]) -> None:
    """Skip the tests marked ``gpu``, because torch finds no CUDA device."""
    no_gpu = pytest.mark.skip(reason="torch finds no CUDA device")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(no_gpu)


@pytest.fixture(scope="session", autouse=True)
def same_work_once() -> Iterator[None]:
    """Saves what the runs of a process do again and again, and no test looks at.

    A runner lays out its config four times and asks the C compiler for its version; to find one
    config of a package, MMEngine reads the metafiles of all; most runs of a test module measure the
    same, so their pages have the same charts.
    """
    import mmengine.config.config
    import mmengine.config.utils
    import mmengine.runner.runner

    from mmseg_robust.evaluation.page import corruptions

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmengine.config.config, "FormatCode", lambda text, **_: (text, True))
        collect = functools.cache(mmengine.runner.runner.collect_env)
        patch.setattr(mmengine.runner.runner, "collect_env", collect)
        patch.setattr(mmengine.config.utils, "load", _read_once(mmengine.config.utils.load))
        for chart in ("bar_chart", "curve_chart"):
            patch.setattr(corruptions, chart, _once(getattr(corruptions, chart)))
        yield


@pytest.fixture(scope="session", autouse=True)
def own_name_of_each_run() -> Iterator[None]:
    """Runs that start in the same second would share log file, message hub and visualizer."""
    from mmengine.runner import Runner

    numbers, setup = itertools.count(), Runner.setup_env

    def setup_env(self: Runner, *arguments: Any) -> None:
        setup(self, *arguments)
        self._timestamp += f"_{next(numbers)}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runner, "setup_env", setup_env)
        yield


@pytest.fixture(autouse=True)
def no_scope_of_another_test() -> Iterator[None]:
    """A run leaves the package behind in which types are looked up; orders of tests differ."""
    from mmengine.registry import DefaultScope

    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()


def _read_once(load: Callable[[str], Any]) -> Callable[[str], Any]:
    """The function, which reads a file again only when that has changed."""

    @functools.cache
    def kept(path: str, changed: int) -> Any:
        return load(path)

    return lambda path: kept(path, os.stat(path).st_mtime_ns)


def _once(function: Callable[..., str]) -> Callable[..., str]:
    """The function, which keeps its results by what it was called with."""
    known: dict[str, str] = {}

    @functools.wraps(function)
    def kept(*arguments: Any) -> str:
        key = repr(arguments)
        if key not in known:
            known[key] = function(*arguments)
        return known[key]

    return kept
