"""Every mend of a broken upstream package, one file a gap, and nowhere else.

OpenMMLab's last releases are older than the torch, numpy and setuptools that they meet today. Each
mend here names what breaks, does nothing where nothing is broken, and may be called again.

=================================  ===============================================================
file                               what breaks without it
=================================  ===============================================================
``mmcv_ops.py``                    ``mmseg.models`` needs ``mmcv.ops``, which mmcv-lite lacks
``checkpoints.py``                 torch>=2.6 refuses MMEngine's own checkpoints
``packages.py``                    ``'mmseg_robust::...'`` configs; ``'mmseg::...'`` without
                                   ``pkg_resources``, in editable installs, and with onedl forks
``cpu_launch.py``                  MMEngine's distributed launch without a GPU
``torchvision_ops.py``             torchvision's CUDA wheel on a CPU torch
``image_corruptions.py``           ``imagecorruptions`` 1.1.2 on numpy 2 and new scikit-image
=================================  ===============================================================

:func:`apply` covers all but the last, which :func:`load_imagecorruptions` does on demand.
"""

from __future__ import annotations

from mmseg_robust.compat.checkpoints import allow_mmengine_checkpoints, guard_downloads
from mmseg_robust.compat.cpu_launch import mend_cpu_launch
from mmseg_robust.compat.image_corruptions import load_imagecorruptions
from mmseg_robust.compat.mmcv_ops import stub_mmcv_ext
from mmseg_robust.compat.packages import mend_package_lookup, register_packages
from mmseg_robust.compat.torchvision_ops import watch_torchvision

__all__ = ["apply", "load_imagecorruptions"]


def apply() -> None:
    """Apply every mend that must be in place before MMSegmentation is imported.

    Needs MMEngine. May be called again: a mend that is in place is left as it is.
    """
    watch_torchvision()
    stub_mmcv_ext()
    allow_mmengine_checkpoints()
    guard_downloads()
    mend_package_lookup()
    register_packages()
    mend_cpu_launch()
