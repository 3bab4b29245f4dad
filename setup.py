"""Build and installation; the metadata that needs code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from setuptools import Command, find_packages, setup
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent
PACKAGE = "mmseg_robust"
# What `mim` and MMEngine look for under PACKAGE/.mim.
MIM_CONTENT = ("configs", "tools", "model-index.yml")
# Files of the package that are no modules.
DATA = ["py.typed", "evaluation/baselines/*.json", "evaluation/page/style.css"]
GUARD = "_mmseg_robust_guard"
LITE = "mmcv-lite=="


def read_version() -> str:
    """Version of the package, without importing it: its dependencies may be missing."""
    text = (ROOT / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE).group(1)


def read_requirements(name: str) -> list[str]:
    """Requirements of one file under requirements/, without comments."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    stripped = (line.partition("#")[0].strip() for line in lines)
    return [line for line in stripped if line]


def installed_mmcv() -> str | None:
    """Version of a full mmcv where this is being installed, or None.

    pip builds in an isolated environment, which it sets up through PYTHONPATH. `-E` leaves that out
    and so looks into the environment that is installed into.
    """
    code = "from importlib import metadata; print(metadata.version('mmcv'))"
    answer = subprocess.run([sys.executable, "-E", "-c", code], capture_output=True, text=True)
    return answer.stdout.strip() if answer.returncode == 0 else None


def runtime_requirements() -> list[str]:
    """Runtime requirements, without mmcv-lite where a full mmcv of the same version is installed.

    Both install the same folder, so that mmcv-lite would overwrite the full one.
    """
    requirements = read_requirements("runtime")
    full = installed_mmcv()
    if full is None:
        return requirements
    lite = next(line for line in requirements if line.startswith(LITE))
    wanted = lite[len(LITE) :]
    if full != wanted:
        sys.exit(
            f"error: mmcv {full} is installed, and mmsegmentation 1.2.2 works with {wanted}. "
            f"Run `pip uninstall mmcv` (mmcv-lite will be installed) or install mmcv=={wanted}."
        )
    return [f"mmcv=={wanted}" if line == lite else line for line in requirements]


class BuildExtras(Command):
    """Adds what is not Python code of the package: .mim and the start-up guard."""

    description = "add configs, tools, model-index.yml and the start-up guard"
    user_options: ClassVar[list[tuple[str, str, str]]] = []

    def initialize_options(self) -> None:
        """Set the attributes that setuptools fills in."""
        self.build_lib: str | None = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        """Take over the folder that the build command writes to."""
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self) -> None:
        """Copy into a wheel; for an editable install link to the checkout instead."""
        if self.editable_mode:
            self.add_mim(ROOT / PACKAGE / ".mim", link=True)
            # In this mode only what lies there goes into the environment as a real file.
            self.add_guard(Path(self.get_finalized_command("install").install_lib))
        else:
            self.add_mim(Path(self.build_lib) / PACKAGE / ".mim", link=False)
            self.add_guard(Path(self.build_lib))

    def add_mim(self, target: Path, link: bool) -> None:
        """Provide configs, tools and model-index.yml where MMEngine looks for them."""
        target.mkdir(parents=True, exist_ok=True)
        for name in MIM_CONTENT:
            source, place = ROOT / name, target / name
            if link:
                if not place.exists():
                    place.symlink_to(Path("..", "..", name), target_is_directory=source.is_dir())
            elif source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
                shutil.copytree(source, place, ignore=ignore, dirs_exist_ok=True)
            else:
                shutil.copyfile(source, place)

    def add_guard(self, target: Path) -> None:
        """Write the start-up file and its module at the top level of site-packages."""
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / PACKAGE / "compat" / "startup_guard.py", target / f"{GUARD}.py")
        (target / f"{PACKAGE}_guard.pth").write_text(f"import {GUARD}\n", encoding="utf-8")

    def get_source_files(self) -> list[str]:
        """Files that a source distribution needs: MANIFEST.in names them."""
        return []

    def get_outputs(self) -> list[str]:
        """Files made; setuptools asks only to map them to sources in an editable install."""
        return []

    def get_output_mapping(self) -> dict[str, str]:
        """Nothing is mapped: in an editable install the files are where they belong."""
        return {}


class Build(build):
    """The usual build, and the extras."""

    sub_commands: ClassVar[list[Any]] = [*build.sub_commands, ("build_extras", None)]


def extras() -> dict[str, list[str]]:
    """The optional groups of requirements."""
    groups = {name: read_requirements(name) for name in ("optional", "tests")}
    return {**groups, "all": [line for group in groups.values() for line in group]}


setup(
    name="mmseg-robust",
    version=read_version(),
    description="Train MMSegmentation models that keep working on corrupted images; measure it",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The mmseg_robust contributors",
    license="Apache-2.0",
    keywords="semantic segmentation, robustness, common corruptions, MMSegmentation",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: DATA},
    python_requires=">=3.9,<3.14",
    install_requires=runtime_requirements(),
    extras_require=extras(),
    cmdclass={"build": Build, "build_extras": BuildExtras},
    zip_safe=False,
)
