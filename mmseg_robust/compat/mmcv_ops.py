"""mmcv-lite: ``mmcv.ops`` without the compiled extension ``mmcv._ext``.

MMSegmentation 1.2.2 imports ``mmcv.ops.point_sample`` and ``mmcv.ops.sigmoid_focal_loss`` without
a guard in ``mmseg.models`` and ``mmseg.utils``. Both are there in mmcv-lite, but ``mmcv.ops`` asks
for the compiled extension while it is being imported.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Callable

EXTENSION = "mmcv._ext"


class _StubExtension(ModuleType):
    """Stands for ``mmcv._ext``: has every operator; each says that it is missing when called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        # Dunder names are asked for by inspect, copy and torch.compile, which expect the error.
        if name.startswith("__"):
            raise AttributeError(name)
        # mmcv.utils.collect_env, which the Runner calls at its start, prints what these return.
        if name in ("get_compiler_version", "get_compiling_cuda_version"):
            return lambda: "not compiled (mmcv-lite)"

        def missing_operator(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(
                f"the mmcv operator {name!r} is compiled code, and mmcv-lite has none. Install the "
                "full mmcv 2.1.0 in its place, or choose a model or loss that does not use it"
            )

        return missing_operator


def stub_mmcv_ext() -> bool:
    """Put a stub in the place of the missing ``mmcv._ext``.

    Does nothing where mmcv is not installed or has its compiled extension. MMEngine's
    ``mmcv_full_available()`` goes on answering ``False``, because the stub has no loader.

    Returns:
        bool: Whether the stub was put in.
    """
    if EXTENSION in sys.modules or find_spec("mmcv") is None or find_spec(EXTENSION) is not None:
        return False
    stub = _StubExtension(EXTENSION, "Stub: mmcv-lite has no compiled operators.")
    # pkgutil.find_loader, with which MMEngine looks for the extension, fails on a module that has
    # no spec, and answers None to a spec that has no loader.
    stub.__spec__ = ModuleSpec(EXTENSION, loader=None)
    sys.modules[EXTENSION] = stub
    # As an import of the submodule would do.
    sys.modules["mmcv"]._ext = stub  # type: ignore[attr-defined]
    return True
