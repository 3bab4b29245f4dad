"""Make the virtual environment that `make demo` and `make test` run in.

A torch that the chosen Python already has is used; otherwise one is installed. Only an environment
that was finished carries the stamp file, so that one whose installation was killed is made anew.

Needs nothing but the standard library: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".mmseg_robust_complete"
LOCK = ROOT / "requirements" / "lock.txt"
#: The Python that requirements/lock.txt was tested with: its versions may not exist for others.
LOCKED_PYTHON = (3, 11)
SUPPORTED = ((3, 9), (3, 13))
#: What opencv-python needs from the system, and slim images lack. The headless build does without.
SYSTEM_LIBRARIES = ("libGL", "libgthread", "libSM", "libXext", "libXrender")
VERSION = "from importlib import metadata; print(metadata.version('{}'))"
#: Entries of a virtual environment whose making was stopped before it had its pyvenv.cfg.
BARE_ENTRIES = {"bin", "include", "lib", "lib64", "Scripts", "Include", "Lib"}


def fail(message: str) -> None:
    """Print the message as one line and stop with status 2."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def run(*command: str | Path) -> None:
    """Run a command; if it fails, stop with its status. It has said why."""
    status = subprocess.run([str(part) for part in command]).returncode
    if status:
        raise SystemExit(status)


def venv_python(folder: Path) -> Path:
    """The Python of a virtual environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def installed_torch() -> str | None:
    """Version of the torch that the running Python has, if MMSegmentation 1.2.2 can use it."""
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None
    release = re.match(r"(\d+)\.(\d+)", version)
    return version if release and tuple(map(int, release.groups())) >= (2, 1) else None


def check_folder(folder: Path) -> None:
    """Refuse to clear a folder that is not a virtual environment."""
    if not folder.exists() or (folder / "pyvenv.cfg").exists():
        return
    if not folder.is_dir() or {entry.name for entry in folder.iterdir()} - BARE_ENTRIES:
        fail(f"{folder} exists and is not a virtual environment. Choose another with VENV=...")


def create(folder: Path, with_site_packages: bool) -> None:
    """Make an empty environment in the place of what is there."""
    venv.EnvBuilder(
        clear=True,
        with_pip=True,
        symlinks=sys.platform != "win32",
        system_site_packages=with_site_packages,
    ).create(folder)
    if with_site_packages and sys.prefix != sys.base_prefix:
        # Python itself is in a virtual environment, and "system" is the one below it.
        packages = ask(
            venv_python(folder), "import sysconfig; print(sysconfig.get_path('purelib'))"
        )
        parents = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (Path(packages) / "parent_environment.pth").write_text(
            "".join(f"{parent}\n" for parent in sorted(parents)), encoding="utf-8"
        )


def ask(python: Path, code: str) -> str:
    """What a Python prints when it runs one line of code."""
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def constraints(torch: str, use_lock: bool) -> list[str]:
    """Versions that pip holds to.

    Args:
        torch (str): Version of torch in the environment: it stays, and decides torchvision's.
        use_lock (bool): Whether to take the others from the lock, which is for one Python.
    """
    locked = LOCK.read_text(encoding="utf-8").splitlines() if use_lock else []
    others = [line for line in locked if not line.startswith(("#", "torch"))]
    return [f"torch=={torch}", *others]


def install(folder: Path, wanted_torch: str | None) -> None:
    """Install this package with all its extras, editable.

    Args:
        folder (Path): The environment.
        wanted_torch (str, optional): What pip installs for torch; ``None`` if torch is there. A
            Python with a torch has its own versions of much else, too, and keeps them.
    """
    python = venv_python(folder)
    pip = (python, "-m", "pip", "install", "--disable-pip-version-check")
    if wanted_torch is not None:
        print(f"installing {wanted_torch}", flush=True)
        run(*pip, *wanted_torch.split())
    print("installing mmseg_robust and what it needs (a minute or two)", flush=True)
    use_lock = wanted_torch is not None and sys.version_info[:2] == LOCKED_PYTHON
    versions = constraints(ask(python, VERSION.format("torch")), use_lock)
    file = folder / "constraints.txt"
    file.write_text("\n".join(versions) + "\n", encoding="utf-8")
    run(*pip, "--quiet", "--constraint", file, "--editable", f"{ROOT}[all]")


def mend_opencv(python: Path) -> None:
    """Exchange opencv-python for its headless build where the system lacks its libraries."""
    probe = subprocess.run([str(python), "-c", "import cv2"], capture_output=True, text=True)
    if not probe.returncode or not any(name in probe.stderr for name in SYSTEM_LIBRARIES):
        return
    version = ask(python, VERSION.format("opencv-python"))
    print(f"libGL is missing: installing opencv-python-headless {version}", flush=True)
    # Both builds own the folder cv2, so the first has to go before the second comes.
    subprocess.run([str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "opencv-python"])
    headless = f"opencv-python-headless=={version}"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", headless)
    run(python, "-c", "import cv2")


def make(folder: Path, wanted_torch: str) -> None:
    """Make or finish the environment, and stamp it."""
    if not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        low, high = (".".join(map(str, version)) for version in SUPPORTED)
        fail(f"this is Python {sys.version.split()[0]}, and {low} to {high} will do: PYTHON=...")
    has_torch = installed_torch() is not None
    stamp = folder / STAMP
    if stamp.exists():
        # Complete, but the requirements have changed since.
        stamp.unlink()
    else:
        check_folder(folder)
        if folder.resolve() == Path(sys.prefix).resolve():
            fail(f"{folder} is incomplete and in use: deactivate it, or choose another PYTHON=...")
        print(f"making {folder}", flush=True)
        create(folder, with_site_packages=has_torch)
    install(folder, None if has_torch else wanted_torch)
    mend_opencv(venv_python(folder))
    stamp.touch()


def main() -> None:
    """Read the command line and make the environment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where to make the environment")
    parser.add_argument("--torch", default="torch==2.13.0", help="what pip installs for torch")
    args = parser.parse_args()
    make(args.folder.absolute(), args.torch)


if __name__ == "__main__":
    main()
