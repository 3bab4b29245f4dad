"""torchvision's CUDA wheel on a CPU torch.

The package index has one Linux wheel of torchvision, built for CUDA. On a CPU build of torch its
compiled part cannot be loaded, and then ``import torchvision`` ends in ``RuntimeError: operator
torchvision::nms does not exist``, because it describes two operators that its compiled part would
have declared. Declaring them first is enough: MMPretrain's backbones use none of them.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# torch forgets the declarations when their library object is collected.
_libraries: list[torch.library.Library] = []


def _needs_cuda(package: Path) -> bool:
    """Tell whether torchvision's compiled part is linked to torch's CUDA library."""
    for binary in (*package.glob("_C*.so"), *package.glob("_C*.pyd")):
        with (
            binary.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            if data.find(b"torch_cuda") >= 0:
                return True
    return False


def declare_missing_operators(package: Path) -> bool:
    """Declare ``torchvision::nms`` and ``torchvision::qnms`` if the compiled part cannot.

    Args:
        package (Path): Folder of the installed torchvision.

    Returns:
        bool: Whether they were declared. ``False`` if torch has CUDA, if torchvision needs none, or
        if they are there.
    """
    if torch.version.cuda is not None or _libraries or not _needs_cuda(package):
        return False
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + _SIGNATURE)
    _libraries.append(library)
    return True


class _TorchvisionWatch(MetaPathFinder):
    """Acts once, when torchvision is about to be imported, and finds nothing itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Declare the operators if torchvision is asked for; leave finding it to the others."""
        if fullname == "torchvision":
            spec = PathFinder.find_spec(fullname, path)
            if spec is not None and spec.origin is not None:
                declare_missing_operators(Path(spec.origin).parent)
        return None


def watch_torchvision() -> bool:
    """Have the operators declared when, and only if, torchvision is imported.

    Nothing is imported or read before that, so that a run that needs no torchvision pays nothing.
    Does nothing if torchvision has been imported, if torch has CUDA, or if the watch is set.

    Returns:
        bool: Whether the watch was set.
    """
    is_set = any(isinstance(finder, _TorchvisionWatch) for finder in sys.meta_path)
    if is_set or "torchvision" in sys.modules or torch.version.cuda is not None:
        return False
    sys.meta_path.insert(0, _TorchvisionWatch())
    return True
