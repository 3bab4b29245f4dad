"""torchvision's CUDA wheel on a CPU torch."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from mmseg_robust.compat import torchvision_ops

IMPORT = """
import runpy, sys
mend = runpy.run_path(sys.argv[1])
mend["watch_torchvision"]()
assert mend["watch_torchvision"]() is False
assert "torchvision" not in sys.modules
import torchvision.models
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A torchvision whose compiled part is linked to CUDA."""
    (tmp_path / "_C.so").write_bytes(b"\x7fELF...libtorch_cuda.so...")
    return tmp_path


def test_importing_the_package_sets_the_watch() -> None:
    assert "torchvision" in sys.modules or torchvision_ops.watch_torchvision() is False


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_torchvision_can_be_imported_after_the_mend() -> None:
    # The file alone, in a new process: importing the package would take three times as long.
    command = [sys.executable, "-c", IMPORT, torchvision_ops.__file__]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_declared_for_cuda_wheel_on_cpu_torch(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared: list[str] = []

    class Library:
        """Records what would be declared."""

        def __init__(self, namespace: str, kind: str) -> None:
            assert (namespace, kind) == ("torchvision", "DEF")

        def define(self, schema: str) -> None:
            """Record one declaration."""
            declared.append(schema.partition("(")[0])

    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.library, "Library", Library)
    monkeypatch.setattr(torchvision_ops, "_libraries", [])
    assert torchvision_ops.declare_missing_operators(package) is True
    assert torchvision_ops.declare_missing_operators(package) is False
    assert declared == ["nms", "qnms"]


def test_cpu_wheel_is_left_alone(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torchvision_ops, "_libraries", [])
    (package / "_C.so").write_bytes(b"\x7fELF...libtorch_cpu.so...")
    assert torchvision_ops.declare_missing_operators(package) is False


def test_torch_with_cuda_is_left_alone(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torchvision_ops, "_libraries", [])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    assert torchvision_ops.declare_missing_operators(package) is False
    assert torchvision_ops.watch_torchvision() is False
