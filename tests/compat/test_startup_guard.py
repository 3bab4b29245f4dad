"""The message for who imports MMSegmentation's models first; its installation: test_package.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_robust.compat import startup_guard

GUARD = startup_guard.OperatorsGuard()


@pytest.fixture
def no_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which nothing has provided mmcv's extension."""
    monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)


def test_operators_of_mmcv_lite_are_refused_with_advice(no_extension: None, tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="`import mmseg_robust` before") as error:
        GUARD.find_spec("mmcv.ops", [str(tmp_path)])
    assert error.value.name == "mmcv._ext"
    assert "\n" not in str(error.value)


def test_full_mmcv_is_let_through(no_extension: None, tmp_path: Path) -> None:
    (tmp_path / "_ext.py").touch()
    GUARD.find_spec("mmcv.ops", [str(tmp_path)])


def test_stand_in_is_let_through(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mmcv._ext", sys)
    GUARD.find_spec("mmcv.ops", [str(tmp_path)])


@pytest.mark.parametrize("name", ["mmcv", "mmcv._ext", "mmcv.ops.nms", "mmcv.cnn", "json"])
def test_other_modules_are_let_through(no_extension: None, tmp_path: Path, name: str) -> None:
    GUARD.find_spec(name, [str(tmp_path)])


def test_importing_the_file_sets_no_guard() -> None:
    assert not any(isinstance(finder, startup_guard.OperatorsGuard) for finder in sys.meta_path)


def test_start_of_python_imports_nothing_for_it() -> None:
    source = Path(startup_guard.__file__).read_text(encoding="utf-8")
    code = (
        "import sys; before = set(sys.modules);"
        f"exec({source!r}, {{'__name__': '_mmseg_robust_guard'}});"
        "assert type(sys.meta_path[0]).__name__ == 'OperatorsGuard';"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"__future__"}
