"""One clear message for who imports ``mmseg.models`` before ``mmseg_robust`` with mmcv-lite.

MMSegmentation then fails in ``mmcv.ops``, far from the cause, and this package is not there yet to
say so. Therefore setup.py installs this file alone as the top-level module
``_mmseg_robust_guard``, with a start-up file beside it that imports it. It must need nothing but
the standard library, and next to no time.
"""

from __future__ import annotations

import sys

# Every start of Python pays for what is imported here, and typing alone costs 40 ms.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MESSAGE = (
    "No module named 'mmcv._ext': mmseg.apis, mmseg.models and mmseg.datasets ask for compiled "
    "operators, and mmcv-lite has none. Write `import mmseg_robust` before you import them (in a "
    "config: custom_imports = dict(imports=['mmseg_robust'])): it puts a stand-in in their place. "
    "Data loader workers started with 'spawn' need our tools/train.py and tools/test.py, or "
    "mp_start_method='fork'."
)


class OperatorsGuard:
    """Refuses ``mmcv.ops``, and nothing else, while its compiled extension is missing."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> None:
        """Raise if ``mmcv.ops`` is about to fail; else leave the import to the other finders.

        Args:
            fullname (str): Name of the module that is being imported.
            path (Sequence[str], optional): Folders of its parent package.
            target (Any): Unused; part of the protocol.

        Raises:
            ModuleNotFoundError: With ``name='mmcv._ext'``, as without the guard. MMSegmentation and
                mmcv catch it where they can do without the operators.
        """
        if fullname != "mmcv.ops" or "mmcv._ext" in sys.modules:
            return
        # Imported here: most programs never get this far.
        from importlib.machinery import PathFinder

        if PathFinder.find_spec("mmcv._ext", path) is None:
            raise ModuleNotFoundError(MESSAGE, name="mmcv._ext")


def install() -> None:
    """Put the guard before the other finders."""
    sys.meta_path.insert(0, OperatorsGuard())


# Only as the installed start-up module: importing mmseg_robust.compat must not set the guard.
if __name__ == "_mmseg_robust_guard":
    install()
