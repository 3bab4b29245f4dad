"""The search for packages that hold configs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import mmengine.utils
import mmseg
import pytest
from mmengine.config import Config
from mmengine.config import config as config_module
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.hub import get_config
from mmengine.utils import package_utils

import mmseg_robust
from mmseg_robust.compat import packages

ROOT = Path(mmseg_robust.__file__).resolve().parent.parent
MMSEG = "mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py"
UNMENDED_NAMES = ("is_installed", "get_installed_path")


def test_mmseg_base_is_found(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text(f"_base_ = ['{MMSEG}']\n")
    assert Config.fromfile(child).model.backbone.type == "MixVisionTransformer"
    assert Path(get_config(MMSEG).filename).is_file()


def test_names_of_modules_and_distributions_are_understood() -> None:
    folder = str(Path(mmseg.__file__).parent)
    assert mmengine.utils.get_installed_path("mmsegmentation") == folder
    assert mmengine.utils.get_installed_path("mmseg") == folder
    # Neither a module nor in MMEngine's table: only its own metadata names its module.
    assert Path(mmengine.utils.get_installed_path("Pillow")).name == "PIL"
    assert mmengine.utils.is_installed("mmsegmentation")
    assert mmengine.utils.is_installed("mmseg_robust")


def test_missing_package_is_named() -> None:
    assert not mmengine.utils.is_installed("no_such_package")
    with pytest.raises(ModuleNotFoundError, match="no_such_package is not installed"):
        mmengine.utils.get_installed_path("no_such_package")


def test_every_user_in_mmengine_has_the_mended_function() -> None:
    import mmengine.hub.hub as hub

    mended = package_utils.get_installed_path
    assert mended.__module__ == packages.__name__ or hasattr(mended, "__wrapped__")
    for module in (mmengine.utils, config_module, hub):
        assert module.get_installed_path is mended


def test_second_call_changes_nothing() -> None:
    assert packages.mend_package_lookup() is False
    assert packages.register_packages() is False


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Any:
    """MMEngine's module of look-ups, restored afterwards wherever a mend may bind a name."""
    import mmengine.hub.hub as hub

    for module in (package_utils, mmengine.utils, config_module, hub):
        for name in UNMENDED_NAMES:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(module, name))
    return package_utils


def test_lookup_without_pkg_resources_is_wrapped_for_editable_installs(
    upstream: Any, tmp_path: Path
) -> None:
    answers = {"mmseg_robust": str(tmp_path / "absent"), "mmsegmentation": str(tmp_path)}

    def of_the_fork(package: str) -> str:
        return answers[package]

    kept = upstream.is_installed
    upstream.get_installed_path = of_the_fork
    assert packages.mend_package_lookup() is True
    assert packages.mend_package_lookup() is False
    assert upstream.is_installed is kept
    assert mmengine.utils.get_installed_path("mmsegmentation") == str(tmp_path)
    assert mmengine.utils.get_installed_path("mmseg_robust") == str(ROOT / "mmseg_robust")


def test_lookup_through_pkg_resources_is_exchanged(upstream: Any) -> None:
    def of_mmengine(package: str) -> str:
        import pkg_resources

        return str(pkg_resources.get_distribution(package).location)

    upstream.get_installed_path = of_mmengine
    assert packages.mend_package_lookup() is True
    assert config_module.get_installed_path is packages.get_installed_path
    assert config_module.is_installed is packages.is_installed


def distributions(*names: str) -> Any:
    """A stand-in for importlib.metadata.distribution that knows these."""

    def distribution(name: str) -> str:
        if name not in names:
            raise metadata.PackageNotFoundError(name)
        return name

    return distribution


@pytest.mark.parametrize(
    "installed, expected",
    [
        (["onedl-mmsegmentation"], "onedl-mmsegmentation"),
        (["onedl-mmsegmentation", "mmsegmentation"], "mmsegmentation"),
        ([], "mmsegmentation"),
    ],
)
def test_fork_takes_the_place_of_a_missing_original(
    monkeypatch: pytest.MonkeyPatch, installed: list[str], expected: str
) -> None:
    monkeypatch.setitem(MODULE2PACKAGE, "mmseg", "mmsegmentation")
    monkeypatch.setitem(MODULE2PACKAGE, "mmpretrain", "mmpretrain")
    monkeypatch.setattr(packages.metadata, "distribution", distributions(*installed))
    assert packages.register_packages() is (expected != "mmsegmentation")
    assert MODULE2PACKAGE["mmseg"] == expected
    assert MODULE2PACKAGE["mmpretrain"] == "mmpretrain"


@pytest.mark.long
def test_bare_checkout_gives_its_configs(tmp_path: Path) -> None:
    """As a base and through get_config, with PYTHONPATH alone and no metadata of the package.

    A new process also shows that the import loads nothing large that only some runs need.
    """
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "mmseg_robust", checkout / "mmseg_robust", symlinks=True)
    (checkout / "tools").mkdir()
    (checkout / "model-index.yml").write_text("Import: []\n")
    (checkout / "configs" / "tiny").mkdir(parents=True)
    config = checkout / "configs" / "tiny" / "tiny.py"
    config.write_text("answer = 42\n")
    child = tmp_path / "child.py"
    child.write_text("_base_ = ['mmseg_robust::tiny/tiny.py']\n")
    code = (
        "import sys; import mmengine.runner; large = {'matplotlib', 'torch._dynamo'};"
        "there = large & set(sys.modules);"
        "import mmseg_robust; from mmengine.config import Config;"
        "assert large & set(sys.modules) == there;"
        "from mmengine.hub import get_config;"
        f"assert mmseg_robust.__file__.startswith({str(checkout)!r});"
        f"assert Config.fromfile({str(child)!r}).answer == 42;"
        "assert get_config('mmseg_robust::tiny/tiny.py').answer == 42"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
