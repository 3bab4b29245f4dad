"""MMEngine's search for packages that hold configs: ``mmseg::...`` and ``mmseg_robust::...``.

MMEngine 0.10.7 has a fixed table of such packages, looks them up through ``pkg_resources``, which
setuptools 82 removed (and which warns about that before), and takes them to lie in site-packages,
which an editable install does not.
These mends act on bases that are read after ``import mmseg_robust``, as our tools do. Stock tools
read them before they import anything of ours; for them ``setuptools<82`` is a requirement.
"""

from __future__ import annotations

import sys
from functools import wraps
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable

#: Packages that the maintained forks publish under another distribution name.
FORKED = ("mmsegmentation", "mmpretrain")

# Where MMEngine has bound the two functions to a name by import.
_USERS = ("mmengine.utils.package_utils", "mmengine.utils", "mmengine.config.config")
_HUB = "mmengine.hub.hub"


def _has_distribution(name: str) -> bool:
    """Tell whether a distribution of this name is installed."""
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _module_of(package: str) -> str:
    """Name of the module to import from a package, by MMEngine's table or its own metadata."""
    from mmengine.config.utils import MODULE2PACKAGE

    modules = {distribution: module for module, distribution in MODULE2PACKAGE.items()}
    if package in modules:
        return modules[package]
    if find_spec(package) is None and _has_distribution(package):
        top_level = (metadata.distribution(package).read_text("top_level.txt") or "").split()
        return top_level[0] if top_level else package
    return package


def _import_path(package: str) -> str | None:
    """Folder from which Python imports a package, or ``None`` if it would not."""
    spec = find_spec(_module_of(package))
    return None if spec is None or spec.origin is None else str(Path(spec.origin).parent)


def is_installed(package: str) -> bool:
    """Tell whether a package is installed, as MMEngine's function of this name does.

    Args:
        package (str): Name of a distribution (``mmsegmentation``) or of a module (``mmseg``).

    Returns:
        bool: ``True`` too for a module that is importable without being installed.
    """
    return _has_distribution(package) or _import_path(package) is not None


def get_installed_path(package: str) -> str:
    """Find the folder of an installed package, as MMEngine's function of this name does.

    Args:
        package (str): Name of a distribution (``mmsegmentation``) or of a module (``mmseg``).

    Returns:
        str: The folder of its top-level module, wherever Python imports it from.

    Raises:
        ModuleNotFoundError: If nothing of this name can be imported.
    """
    path = _import_path(package)
    if path is None:
        raise ModuleNotFoundError(f"{package} is not installed", name=package)
    return path


def _falling_back(original: Callable[[str], str]) -> Callable[[str], str]:
    """Keep MMEngine's answer where it is a folder, else ask Python's import system."""

    @wraps(original)
    def installed_path(package: str) -> str:
        path = original(package)
        return path if Path(path).is_dir() else get_installed_path(package)

    return installed_path


def _replace(name: str, function: Callable[..., Any]) -> None:
    """Rebind a function everywhere MMEngine has imported it to."""
    # The hub imports much and few use it; where it is imported later it finds the new function.
    users = [*_USERS, _HUB] if _HUB in sys.modules else list(_USERS)
    for user in users:
        module = import_module(user)
        if hasattr(module, name):
            setattr(module, name, function)


def mend_package_lookup() -> bool:
    """Mend MMEngine's ``is_installed`` and ``get_installed_path``.

    Where they ask ``pkg_resources`` both are exchanged. An MMEngine that does not (the maintained
    fork) keeps its own, and only the path of an editable install is mended, which it gives as a
    folder that does not exist.

    Returns:
        bool: Whether anything was exchanged; ``False`` if it has been before.
    """
    import mmengine.utils.package_utils as upstream

    original = upstream.get_installed_path
    if original is get_installed_path or hasattr(original, "__wrapped__"):
        return False
    if "pkg_resources" in original.__code__.co_names:
        _replace("is_installed", is_installed)
        _replace("get_installed_path", get_installed_path)
    else:
        _replace("get_installed_path", _falling_back(original))
    return True


def register_packages() -> bool:
    """Enter this package, and forks in place of the originals, into MMEngine's table.

    Returns:
        bool: Whether the table was changed.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    before = dict(MODULE2PACKAGE)
    # The name of the module, not of the distribution: both find an installed package, and this one
    # also finds a checkout that is only on PYTHONPATH.
    MODULE2PACKAGE["mmseg_robust"] = "mmseg_robust"
    for module, distribution in before.items():
        fork = f"onedl-{distribution}"
        if (
            distribution in FORKED
            and not _has_distribution(distribution)
            and _has_distribution(fork)
        ):
            MODULE2PACKAGE[module] = fork
    return before != MODULE2PACKAGE
