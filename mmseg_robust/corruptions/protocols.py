"""Named, versioned sets of (corruption, severity) cells.

Papers average over different corruptions and severities under one name. A protocol here fixes
both, and a result carries its name and version, so that two numbers compare only when they may.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from mmseg_robust.corruptions.names import COMMON, GROUPS
from mmseg_robust.errors import InputError

NATIVE = "native"
"""The corruption acts at the image's own resolution, before any resize."""

AFTER_CROP = "after_crop"
"""The corruption acts after resize and centre crop, as ImageNet-C was made."""

MEAN_OF_CORRUPTION_MEANS = "mean_of_corruption_means"
"""Mean over the severities of a corruption first, then the mean over corruptions, unweighted."""


class Cell(NamedTuple):
    """One corruption at one severity.

    Args:
        corruption (str): One of ``names.ALL_NAMES`` or in a family, see ``registry.FAMILIES``, or
            ``clean``.
        severity (int): 1 to 5; 0 for ``clean``.
    """

    corruption: str
    severity: int

    def __str__(self) -> str:
        return self.corruption if self == CLEAN else f"{self.corruption}/{self.severity}"


CLEAN = Cell("clean", 0)
"""The uncorrupted pass that every protocol has beside its cells."""


@dataclass(frozen=True)
class Protocol:
    """A set of cells and the rule that turns their scores into one number.

    Args:
        name (str): Name in the registry.
        version (int): Raised whenever the cells, the groups or the rule change.
        cells (tuple[Cell, ...]): The corrupted cells, those of one corruption in a row.
        groups (dict[str, tuple[str, ...]]): Corruptions by family; each is in exactly one.
        source (str): Where the rule comes from.
        acts (str): ``native`` or ``after_crop``.
        averaging (str): Name of the averaging rule.
    """

    name: str
    version: int
    cells: tuple[Cell, ...]
    groups: dict[str, tuple[str, ...]]
    source: str
    acts: str = NATIVE
    averaging: str = MEAN_OF_CORRUPTION_MEANS

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Names of the corruptions, in the order of the cells."""
        return tuple(dict.fromkeys(cell.corruption for cell in self.cells))

    @property
    def passes(self) -> tuple[Cell, ...]:
        """All that a test runs: the clean pass, then the cells."""
        return (CLEAN, *self.cells)

    def cells_of(self, corruption: str) -> tuple[Cell, ...]:
        """Cells of one corruption, by severity."""
        return self._cells_by_corruption.get(corruption, ())

    @cached_property
    def _cells_by_corruption(self) -> dict[str, tuple[Cell, ...]]:
        found: dict[str, list[Cell]] = {}
        for cell in self.cells:
            found.setdefault(cell.corruption, []).append(cell)
        return {name: tuple(cells) for name, cells in found.items()}

    def weaker_pass(self, index: int) -> int:
        """Index of the pass that shows how a pass changes the predictions.

        Args:
            index (int): Index into ``passes``.

        Returns:
            int: That of the next weaker severity of the same corruption; the clean pass, 0, for
            the weakest and for itself.
        """
        same = index > 0 and self.passes[index - 1].corruption == self.passes[index].corruption
        return index - 1 if same else 0


GENERATED: dict[str, Callable[[str], Protocol]] = {}
"""What makes the protocols that are not listed, by the first word of their names:
``fourier-15x15``."""


def get_protocol(name: str) -> Protocol:
    """Looks up a protocol, or makes it where it is of a generated kind.

    Args:
        name (str): A name in ``PROTOCOLS``, or of a kind in ``GENERATED``.

    Returns:
        Protocol: The protocol.

    Raises:
        InputError: If the name is unknown. The message lists all.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    kind = str(name).partition("-")[0]
    if kind in GENERATED:
        return GENERATED[kind](name)
    nearest = difflib.get_close_matches(str(name), PROTOCOLS, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise InputError(f"Unknown protocol {name!r}.{hint} Known: {', '.join(PROTOCOLS)}.")


_ALL_SEVERITIES = (1, 2, 3, 4, 5)
_NOISE_SEVERITIES = (1, 2, 3)
_CITYSCAPES_C_GROUPS = {name: GROUPS[name] for name in ("blur", "noise", "digital", "weather")}
_IMAGENET_C_GROUPS = {
    "noise": COMMON[0:3],
    "blur": COMMON[3:7],
    "weather": COMMON[7:11],
    "digital": COMMON[11:15],
}
_FAN_GROUPS = {
    "noise": ("gaussian_noise", "shot_noise", "speckle_noise", "impulse_noise"),
    "extra": ("zoom_blur", "elastic_transform"),
    "blur": ("gaussian_blur", "motion_blur", "glass_blur", "defocus_blur"),
    "digital": ("contrast", "jpeg_compression", "saturate", "pixelate"),
    "weather": ("snow", "fog", "frost", "spatter", "brightness"),
}
_LIGHT_GROUPS: dict[str, tuple[str, ...]] = {
    "blur": ("motion_blur", "gaussian_blur"),
    "noise": ("gaussian_noise", "impulse_noise"),
    "digital": ("contrast", "jpeg_compression"),
    "weather": ("snow", "fog"),
}
_CBAR_GROUPS = {
    "noise": (
        "blue_noise_sample",
        "brownish_noise",
        "perlin_noise",
        "plasma_noise",
        "single_frequency_greyscale",
        "cocentric_sine_waves",
    ),
    "pattern": ("caustic_refraction", "checkerboard_cutout", "sparkles", "inverse_sparkles"),
}
_DEMO_GROUPS = {
    "blur": ("gaussian_blur",),
    "noise": ("gaussian_noise", "impulse_noise"),
    "digital": ("contrast", "jpeg_compression"),
    "weather": ("fog",),
}


def _grid(
    groups: dict[str, tuple[str, ...]],
    severities: tuple[int, ...] = _ALL_SEVERITIES,
    noise_severities: tuple[int, ...] | None = None,
) -> tuple[Cell, ...]:
    """Every corruption of the groups at its severities, in the order of the groups."""
    by_group = {"noise": noise_severities or severities}
    return tuple(
        Cell(name, severity)
        for group, names in groups.items()
        for name in names
        for severity in by_group.get(group, severities)
    )


_CITYSCAPES_C_CELLS = _grid(_CITYSCAPES_C_GROUPS, noise_severities=_NOISE_SEVERITIES)

_REGISTERED = (
    Protocol(
        name="cityscapes-c",
        version=1,
        cells=_CITYSCAPES_C_CELLS,
        groups=_CITYSCAPES_C_GROUPS,
        source="SegFormer (arXiv 2105.15203, Sec. 4.4 and App. D) after Kamann and Rother "
        "(arXiv 1908.05005): 16 corruptions, the four noises at severities 1-3, the rest at 1-5.",
    ),
    Protocol(
        name="ade20k-c",
        version=1,
        cells=_CITYSCAPES_C_CELLS,
        groups=_CITYSCAPES_C_GROUPS,
        source="The Cityscapes-C rule applied to ADE20K, the project's own choice: no standard "
        "ADE20K-C exists, published numbers under this name use different cells.",
    ),
    Protocol(
        name="all-19x5",
        version=1,
        cells=_grid(GROUPS),
        groups=GROUPS,
        source="All 19 corruptions of imagecorruptions at severities 1-5, the project's own "
        "choice; also what the script of STL (arXiv 2401.03844) runs.",
    ),
    Protocol(
        name="fan-1to3",
        version=1,
        cells=_grid(_FAN_GROUPS, severities=(1, 2, 3)),
        groups=_FAN_GROUPS,
        source="The test script of FAN (github.com/NVlabs/FAN): 19 corruptions, severities 1-3 "
        "for every one. The script prints means by corruption; their mean is the project's "
        "choice.",
    ),
    Protocol(
        name="robodet-15x5",
        version=1,
        cells=_grid(_IMAGENET_C_GROUPS),
        groups=_IMAGENET_C_GROUPS,
        source="Michaelis et al. (arXiv 1907.07484): 15 corruptions at severities 1-5; the mean "
        "is their mPC, retention their rPC.",
    ),
    Protocol(
        name="imagenet-c",
        version=1,
        cells=_grid(_IMAGENET_C_GROUPS),
        groups=_IMAGENET_C_GROUPS,
        acts=AFTER_CROP,
        source="Hendrycks and Dietterich (ICLR 2019): 15 corruptions at severities 1-5, after "
        "resize and centre crop.",
    ),
    Protocol(
        name="cbar",
        version=1,
        cells=_grid(_CBAR_GROUPS),
        groups=_CBAR_GROUPS,
        source="ImageNet-C-bar (Mintun et al., NeurIPS 2021, arXiv 2102.11273): ten corruptions at "
        "severities 1-5. It acts at the image's own resolution here, the two groups are the "
        "project's own choice.",
    ),
    Protocol(
        name="cityscapes-c-light",
        version=1,
        cells=tuple(
            Cell(name, 2 if group == "noise" else 3)
            for group, names in _LIGHT_GROUPS.items()
            for name in names
        ),
        groups=_LIGHT_GROUPS,
        source="Two corruptions of each group of cityscapes-c at its middle severity, the "
        "project's own choice, to follow a training run; not a result to report.",
    ),
    Protocol(
        name="demo",
        version=1,
        cells=_grid(_DEMO_GROUPS, severities=(2, 4)),
        groups=_DEMO_GROUPS,
        source="12 cells that are quick to make, the project's own choice, for demonstrations.",
    ),
)

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _REGISTERED}
"""All protocols by name."""
