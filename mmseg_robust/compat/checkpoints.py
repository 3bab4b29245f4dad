"""torch>=2.6: ``torch.load`` refuses what MMEngine stores in its own checkpoints.

``torch.load`` has unpickled with ``weights_only=True`` since torch 2.6: a checkpoint may name only
functions and classes from an allow-list, so that a file from a stranger cannot run code. MMEngine's
message hub stores ``HistoryBuffer`` objects, which hold numpy arrays and, through
``builtins.getattr``, four of the class's own methods. These, and no more, are added to the list.
The guard itself stays on.
"""

from __future__ import annotations

import functools
import pickle
from typing import Any

import torch

#: The methods of ``HistoryBuffer`` that MMEngine itself registers and so pickles by name.
HISTORY_METHODS = ("min", "max", "current", "mean")

#: Kinds of plain numbers whose arrays a checkpoint may hold. Object arrays are not among them.
NUMBER_KINDS = "?bBhHiIlLqQefd"


def _history_getattr(owner: Any, name: str) -> Any:
    """Stand in for ``builtins.getattr`` in a checkpoint: the real one would void the guard."""
    from mmengine.logging import HistoryBuffer

    if owner is HistoryBuffer and name in HISTORY_METHODS:
        return getattr(owner, name)
    raise pickle.UnpicklingError(
        f"refused getattr({owner!r}, {name!r}): a checkpoint may only ask for "
        f"{', '.join(HISTORY_METHODS)} of MMEngine's HistoryBuffer"
    )


def _allowed_globals() -> list[Any]:
    """List what MMEngine's checkpoints need: classes, or (object, name in the file) pairs."""
    import numpy as np
    from mmengine.logging import HistoryBuffer

    # numpy 2 renamed numpy.core; files written with either version name either.
    core = np._core if hasattr(np, "_core") else np.core
    functions = (core.multiarray._reconstruct, core.multiarray.scalar)
    renamed = [
        (function, f"numpy.{package}.multiarray.{function.__name__}")
        for function in functions
        for package in ("core", "_core")
    ]
    dtype_classes = {type(np.dtype(kind)) for kind in NUMBER_KINDS}
    narrowed_getattr = (_history_getattr, "builtins.getattr")
    return [HistoryBuffer, np.ndarray, np.dtype, *dtype_classes, *renamed, narrowed_getattr]


def allow_mmengine_checkpoints() -> bool:
    """Let ``torch.load(weights_only=True)`` read MMEngine's checkpoints.

    Does nothing before torch 2.6, where ``weights_only`` is off by default.

    Returns:
        bool: Whether the allow-list was extended.
    """
    from mmengine.utils import digit_version

    if digit_version(torch.__version__) < digit_version("2.6.0"):
        return False
    wanted = _allowed_globals()
    if set(wanted) <= set(torch.serialization.get_safe_globals()):
        return False
    torch.serialization.add_safe_globals(wanted)
    return True


def guard_downloads() -> bool:
    """Keep the guard for checkpoints that MMEngine downloads, as for local files.

    MMEngine fetches ``https://`` checkpoints with torch's ``load_url``, which unpickles without the
    guard unless it is told otherwise. Does nothing before torch 2.6, where local files have no
    guard either.

    Returns:
        bool: Whether MMEngine's download was changed; False if it has been before.
    """
    import mmengine.runner.checkpoint as upstream
    from mmengine.utils import digit_version

    if digit_version(torch.__version__) < digit_version("2.6.0"):
        return False
    if isinstance(upstream.load_url, functools.partial):
        return False
    upstream.load_url = functools.partial(upstream.load_url, weights_only=True)
    return True
