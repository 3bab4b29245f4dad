"""The two generators of corrupted images behind one signature, image by image on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mmseg_robust.corruptions.api import corrupt
from mmseg_robust.corruptions.checks import check_image
from mmseg_robust.corruptions.names import ALL_NAMES, NAMES
from mmseg_robust.corruptions.reference import corrupt_reference
from mmseg_robust.corruptions.registry import FAMILIES, find_corruption
from mmseg_robust.errors import InputError


def corrupt_array(image: np.ndarray, name: str, severity: int, seed: int) -> np.ndarray:
    """Corrupts one RGB image by the engine; the twin of :func:`corrupt_reference`.

    Args:
        image (np.ndarray): RGB image, uint8, shape (H, W, 3), H and W at least 32.
        name (str): See :func:`~mmseg_robust.corruptions.api.corrupt`.
        severity (int): 0 (the identity) to 5.
        seed (int): Seed of the image, see :func:`image_seed`.

    Returns:
        np.ndarray: A new array, RGB, uint8, shape (H, W, 3).

    Raises:
        InputError: If an argument is not as described.
    """
    check_image(image)
    batch = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    return corrupt(batch, name, severity, [seed])[0].permute(1, 2, 0).contiguous().numpy()


@dataclass(frozen=True)
class Backend:
    """A generator of corrupted images.

    Args:
        name (str): Name in ``BACKENDS``.
        corrupt (Callable): ``corrupt(image, name, severity, seed)``, see :func:`corrupt_array`.
        names (tuple[str, ...]): The corruptions that it knows.
        families (tuple[str, ...]): The families that it knows, see ``registry.FAMILIES``. Defaults
            to none.
    """

    name: str
    corrupt: Callable[[np.ndarray, str, int, int], np.ndarray]
    names: tuple[str, ...]
    families: tuple[str, ...] = ()

    def knows(self, names: Sequence[str]) -> bool:
        """Whether the backend knows all of some corruptions.

        Args:
            names (Sequence[str]): Names of corruptions.
        """
        return all(name in self.names or name.partition("[")[0] in self.families for name in names)

    def check(self, names: Sequence[str]) -> None:
        """Refuses corruptions that the backend does not know.

        Args:
            names (Sequence[str]): Names of corruptions.

        Raises:
            InputError: If one is unknown.
        """
        for name in names:
            find_corruption(name)
        missing = [name for name in names if not self.knows([name])]
        if missing:
            able = [backend.name for backend in _REGISTERED if backend.knows(names)]
            raise InputError(
                f"The backend {self.name!r} has no {', '.join(missing)}: choose backend="
                f"{' or '.join(map(repr, able))}."
            )


_REGISTERED = (
    Backend("engine", corrupt_array, ALL_NAMES, tuple(FAMILIES)),
    Backend("imagecorruptions", corrupt_reference, NAMES),
)

BACKENDS: dict[str, Backend] = {backend.name: backend for backend in _REGISTERED}
"""All backends by name. ``imagecorruptions`` reproduces published sets."""


def get_backend(name: str) -> Backend:
    """Looks up a backend.

    Args:
        name (str): A name in ``BACKENDS``.

    Returns:
        Backend: The backend.

    Raises:
        InputError: If the name is unknown.
    """
    if name not in BACKENDS:
        raise InputError(f"Unknown backend {name!r}. Known: {', '.join(BACKENDS)}.")
    return BACKENDS[name]
