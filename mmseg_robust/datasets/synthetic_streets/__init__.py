"""Street scenes that are drawn, for trying things out and for tests.

``draw_scene`` needs numpy and OpenCV alone and knows nothing of OpenMMLab.
"""

from mmseg_robust.datasets.synthetic_streets.classes import to_camvid
from mmseg_robust.datasets.synthetic_streets.scene import draw_scene

__all__ = ["draw_scene", "to_camvid"]
