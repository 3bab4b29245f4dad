"""Import a script of tools/ as a module."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def load_tool(path: str) -> ModuleType:
    """Load ``tools/PATH`` under a name of its own, so that it does not hide a package."""
    file = ROOT / "tools" / path
    name = "tool_" + path.removesuffix(".py").replace("/", "_")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(file.resolve().parent))  # as when it is run as a script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module
