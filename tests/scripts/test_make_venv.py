"""The environment that make makes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script() -> ModuleType:
    """scripts/make_venv.py as a module."""
    spec = importlib.util.spec_from_file_location("make_venv", ROOT / "scripts" / "make_venv.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def steps(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the steps that are taken, in place of taking them."""
    taken: list[str] = []

    def create(folder: Path, with_site_packages: bool) -> None:
        taken.append("create with site packages" if with_site_packages else "create")
        folder.mkdir(exist_ok=True)
        (folder / "pyvenv.cfg").touch()

    monkeypatch.setattr(script, "create", create)
    monkeypatch.setattr(script, "install", lambda folder, torch: taken.append(f"install {torch}"))
    monkeypatch.setattr(script, "mend_opencv", lambda python: taken.append("opencv"))
    monkeypatch.setattr(script, "installed_torch", lambda: None)
    return taken


def test_new_environment_is_made_and_stamped(
    script: ModuleType, steps: list[str], tmp_path: Path
) -> None:
    script.make(tmp_path / "venv", "torch==2.13.0")
    assert steps == ["create", "install torch==2.13.0", "opencv"]
    assert (tmp_path / "venv" / script.STAMP).is_file()


def test_torch_of_the_chosen_python_is_used(
    script: ModuleType, steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "installed_torch", lambda: "2.11.0+cu130")
    script.make(tmp_path / "venv", "torch==2.13.0")
    assert steps == ["create with site packages", "install None", "opencv"]


def test_killed_installation_is_made_anew(
    script: ModuleType, steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path, torch: str | None) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "venv"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(script, "install", killed)
        script.make(folder, "torch")
    assert not (folder / script.STAMP).exists()
    script.make(folder, "torch")
    assert steps == ["create", "create", "install torch", "opencv"]


def test_killed_update_is_made_anew(
    script: ModuleType, steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "venv"
    script.make(folder, "torch")
    script.make(folder, "torch")
    assert steps.count("create") == 1, "a complete environment is only brought up to date"

    def killed(python: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "mend_opencv", killed)
    with pytest.raises(KeyboardInterrupt):
        script.make(folder, "torch")
    assert not (folder / script.STAMP).exists()


def test_folder_with_other_content_is_never_cleared(
    script: ModuleType, steps: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SystemExit) as stop:
        script.make(tmp_path, "torch")
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} exists and is not a virtual")
    assert steps == []


def test_environment_in_use_is_never_cleared(
    script: ModuleType, steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyvenv.cfg").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(SystemExit):
        script.make(tmp_path, "torch")
    assert steps == []


def test_constraints_keep_torch_and_take_the_rest_from_the_lock(script: ModuleType) -> None:
    assert script.constraints("2.11.0+cu130", use_lock=False) == ["torch==2.11.0+cu130"]
    locked = script.constraints("2.13.0+cpu", use_lock=True)
    assert locked[0] == "torch==2.13.0+cpu"
    assert "mmengine==0.10.7" in locked
    assert not any(line.startswith("torchvision") for line in locked)


def test_lock_satisfies_the_requirements() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "requirements" / "lock.txt").read_text().splitlines()
    locked = dict(line.split("==") for line in lines if not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in locked.items()}
    for name in ("runtime", "optional", "tests"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        for line in filter(None, (line.partition("#")[0].strip() for line in text.splitlines())):
            requirement = Requirement(line)
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


FAKE_PYTHON = """#!{shell}
echo "$*" >> "{log}"
case "$*" in
*"import cv2") test -e "{headless}" || {{ echo "ImportError: {error}" >&2; exit 1; }};;
*"version('opencv-python')"*) echo 5.0.0.93;;
*"opencv-python-headless==5.0.0.93") touch "{headless}";;
esac
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the fake Python is a shell script")
@pytest.mark.parametrize(
    "error, repaired",
    [
        ("libGL.so.1: cannot open shared object file", True),
        ("libgthread-2.0.so.0: cannot open shared object file", True),
        ("numpy.core.multiarray failed to import", False),
    ],
)
def test_opencv_is_exchanged_where_system_libraries_are_missing(
    script: ModuleType, tmp_path: Path, error: str, repaired: bool
) -> None:
    log, python = tmp_path / "log", tmp_path / "python"
    python.write_text(
        FAKE_PYTHON.format(shell="/bin/sh", log=log, headless=tmp_path / "headless", error=error)
    )
    python.chmod(0o755)
    script.mend_opencv(python)
    calls = log.read_text().splitlines()
    assert ("-m pip uninstall --quiet --yes opencv-python" in calls) is repaired
    assert (tmp_path / "headless").exists() is repaired
    before = len(calls)
    script.mend_opencv(python)
    assert len(log.read_text().splitlines()) == before + 1, "once mended, only the probe runs"
