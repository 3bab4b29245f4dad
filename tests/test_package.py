"""The package as it is imported, built, installed and removed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import mmseg_robust

Done = subprocess.CompletedProcess
ROOT = Path(mmseg_robust.__file__).resolve().parent.parent
#: What a build reads.
SOURCES = (
    "mmseg_robust",
    "configs",
    "tools",
    "requirements",
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
    "model-index.yml",
)
#: Everything that is installed beside torch and numpy.
BLOCKED = (
    "mmengine mmcv mmseg mmpretrain imagecorruptions cv2 scipy skimage PIL matplotlib torchvision "
    "yaml addict rich"
)
WITHOUT = """
import importlib.machinery
finder = importlib.machinery.PathFinder
original = finder.find_spec
def find_spec(cls, name, path=None, target=None):
    if name.partition(".")[0] in {blocked!r}:
        return None
    return original(name, path, target)
finder.find_spec = classmethod(find_spec)
"""

#: Frost needs the textures that imagecorruptions carries, and Pillow to read them.
RUN_ALL_BUT_FROST = """
import sys, torch
from mmseg_robust.corruptions import ALL_NAMES, corrupt
from mmseg_robust.errors import InputError
images = torch.randint(0, 256, (2, 3, 40, 50), dtype=torch.uint8)
for name in ALL_NAMES:
    if name != "frost":
        assert not torch.equal(corrupt(images, name, 3, [1, 2]), images), name
try:
    corrupt(images, "frost", 3, [1, 2])
except InputError as error:
    assert "pip install imagecorruptions" in str(error), error
else:
    raise AssertionError("frost came from nowhere")
print(*sys.modules)
"""


def python(executable: Path | str, code: str, *args: str, cwd: Path | None = None) -> Done:
    """Run code in another Python that finds the package only where it is installed."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(executable), "-c", code, *args]
    return subprocess.run(command, capture_output=True, text=True, env=variables, cwd=cwd)


def test_corruptions_need_only_torch_and_numpy() -> None:
    code = WITHOUT.format(blocked=set(BLOCKED.split())) + RUN_ALL_BUT_FROST
    done = python(sys.executable, code, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert not set(BLOCKED.split()) & set(done.stdout.split())


def test_import_registers_with_mmengine_alone_and_with_mmseg() -> None:
    import mmseg.registry
    from mmengine.registry import HOOKS

    assert HOOKS.get("CWFAHook") is not None
    assert mmseg.registry.MODELS.get("CWFABackbone") is not None


def test_import_errors_are_not_swallowed(tmp_path: Path) -> None:
    (tmp_path / "mmengine").mkdir()
    (tmp_path / "mmengine" / "__init__.py").write_text("raise ImportError('broken on purpose')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import mmseg_robust"
    done = python(sys.executable, code, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ImportError: broken on purpose"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build in, without what a checkout links and has built."""
    copy = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__", ".mim", "*.egg-info")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=ignore)
        else:
            shutil.copyfile(ROOT / name, copy / name)
    return copy


class Environment:
    """A virtual environment that sees this one's packages, for a moment."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=os.name != "nt")
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        asked = python(self.python, "import sysconfig; print(sysconfig.get_path('purelib'))")
        self.packages = Path(asked.stdout.strip())
        parents = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (self.packages / "parents.pth").write_text("".join(f"{path}\n" for path in parents))
        self.empty = self.content()

    def content(self) -> set[str]:
        """Names of what is installed."""
        return {entry.name for entry in self.packages.iterdir()} - {"__pycache__"}

    def pip(self, *args: str) -> None:
        """Run pip, which comes from this environment."""
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", *args]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


#: What a user does in the wrong order, then in the right one.
USE = """
import sys
from importlib.metadata import version
from pathlib import Path
from mmengine.hub import get_config
from mmengine.utils.dl_utils.misc import mmcv_full_available

if not mmcv_full_available():
    try:
        import mmseg.models
    except ModuleNotFoundError as error:
        assert error.name == "mmcv._ext", error
        assert "Write `import mmseg_robust` before you import them" in str(error), error
    else:
        raise AssertionError("the guard did not act")

import mmseg_robust
assert Path(mmseg_robust.__file__).is_relative_to(sys.argv[1]), mmseg_robust.__file__
assert version("mmseg-robust") == mmseg_robust.__version__
mim = Path(mmseg_robust.__file__).parent / ".mim"
assert (mim / "tools" / "train.py").is_file()
name = next(mim.glob("configs/*/*.py")).relative_to(mim / "configs").as_posix()
assert Path(get_config(f"mmseg_robust::{name}").filename).is_file()

from mmseg_robust.evaluation.page import write_page
from mmseg_robust.evaluation.published import published_baselines
from mmseg_robust.evaluation.record_files import read_record
write_page("page.html", read_record(published_baselines()["segformer-b5"]))
"""


@pytest.mark.long
@pytest.mark.parametrize("mode", ["wheel", "editable"])
def test_installation(source: Path, tmp_path: Path, mode: str) -> None:
    """Guard, registration, configs and tools are there, and uninstalling leaves no trace."""
    environment = Environment(tmp_path / "venv")
    target = ["--editable", str(source)] if mode == "editable" else [str(source)]
    environment.pip(
        "install", "--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed", *target
    )
    assert {"mmseg_robust_guard.pth", "_mmseg_robust_guard.py"} <= environment.content()
    home = source if mode == "editable" else environment.packages
    done = python(environment.python, USE, str(home), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    environment.pip("uninstall", "--yes", "mmseg-robust")
    assert environment.content() == environment.empty


@pytest.mark.parametrize("full, required", [(None, "mmcv-lite==2.1.0"), ("2.1.0", "mmcv==2.1.0")])
def test_full_mmcv_is_not_overwritten(
    source: Path, tmp_path: Path, full: str | None, required: str
) -> None:
    done = build_metadata(source, tmp_path, full)
    assert done.returncode == 0, done.stderr
    (requires,) = tmp_path.glob("*.egg-info/requires.txt")
    assert [line for line in requires.read_text().split() if line.startswith("mmcv")] == [required]


def test_wrong_version_of_mmcv_is_named(source: Path, tmp_path: Path) -> None:
    done = build_metadata(source, tmp_path, "2.2.0")
    assert done.returncode != 0
    assert (
        "error: mmcv 2.2.0 is installed, and mmsegmentation 1.2.2 works with 2.1.0" in done.stderr
    )


def build_metadata(source: Path, folder: Path, full_mmcv: str | None) -> Done:
    """Build the metadata in an environment with this version of the full mmcv."""
    environment = Environment(folder / "venv")
    if full_mmcv is not None:
        info = environment.packages / f"mmcv-{full_mmcv}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mmcv\nVersion: {full_mmcv}\n")
    command = ["setup.py", "--quiet", "egg_info", "--egg-base", str(folder)]
    return subprocess.run(
        [str(environment.python), *command], cwd=source, capture_output=True, text=True
    )
