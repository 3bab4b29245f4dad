"""What tested images leave behind, whatever the model: the forms that the loops and reports share.

Segmentors leave counts of pixels (:mod:`mmseg_robust.evaluation.image_counts`), classifiers their
predictions (:mod:`mmseg_robust.evaluation.image_predictions`). Every figure of a report is made
from these, so that none needs the model again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np

from mmseg_robust.corruptions import Protocol
from mmseg_robust.evaluation.measures import Measure

Arrays = Mapping[str, np.ndarray]


class ImageResult(ABC):
    """What one image leaves in all passes of a protocol, for the store: a dataclass of arrays."""

    name: str

    def arrays(self) -> dict[str, np.ndarray]:
        """All that it holds but for the name."""
        return _fields_but(self, "name")

    @classmethod
    @abstractmethod
    def from_arrays(cls, name: str, arrays: Arrays, num_passes: int) -> ImageResult | None:
        """Makes it from what :meth:`arrays` gave.

        Args:
            name (str): Name of the image.
            arrays (Arrays): The arrays; what they hold need not be right.
            num_passes (int): Passes of the protocol.

        Returns:
            ImageResult | None: The result; None where the arrays are of another form.
        """


class RunResult(ABC):
    """What N images leave in K passes, the clean one first: a dataclass of arrays."""

    measure: ClassVar[Measure]
    names: tuple[str, ...]

    @property
    @abstractmethod
    def num_passes(self) -> int:
        """Number of passes, K."""

    def arrays(self) -> dict[str, np.ndarray]:
        """All that it holds but for the names, for a file."""
        return _fields_but(self, "names")

    @classmethod
    @abstractmethod
    def from_arrays(cls, names: tuple[str, ...], arrays: Arrays) -> RunResult:
        """Makes it from what :meth:`arrays` gave.

        Raises:
            KeyError, ValueError: If an array is missing or of another form.
        """

    @abstractmethod
    def figures(self, protocol: Protocol, index: int) -> dict[str, Any]:
        """Figures of a pass as a record has them, the measure under its key first.

        Args:
            protocol (Protocol): The protocol.
            index (int): Index of the pass.

        Returns:
            dict[str, Any]: Among others ``nan_images``, ``ECE`` and ``flip_rate``.
        """

    @abstractmethod
    def scores(self) -> np.ndarray:
        """Score of each pass on all images, percent, float64, shape (K,)."""

    @abstractmethod
    def resampled_scores(self) -> np.ndarray:
        """Score of each pass in each resample, see :mod:`mmseg_robust.evaluation.bootstrap`.

        Returns:
            np.ndarray: Percent, float64, shape (RESAMPLES, K); NaN where there is no score.
        """

    @abstractmethod
    def image_scores(self) -> np.ndarray:
        """How well each image went in each pass, to find the worst.

        Returns:
            np.ndarray: Percent, float64, shape (N, K); NaN for images without labels.
        """

    @abstractmethod
    def labels(self) -> np.ndarray:
        """What tells the labels of the images apart, integers, shape (N, ...)."""

    @abstractmethod
    def in_order(self, order: Sequence[int]) -> RunResult:
        """The same images in another order, with what is summed over them left as it is."""


class ResultSums(ABC):
    """Gathers the results of a rank's images as they come."""

    joined: ClassVar[tuple[str, ...]]
    """Arrays in which each image has its own place or is added: their sum over the ranks is that
    of a single process."""

    @abstractmethod
    def add(self, place: int, image: Any) -> None:
        """Adds one image.

        Args:
            place (int): Its place in the dataset.
            image (Any): Its result.
        """

    @abstractmethod
    def finish(self, names: Sequence[str]) -> RunResult:
        """All that was added.

        Args:
            names (Sequence[str]): Names of the images.

        Returns:
            RunResult: It shares memory with this.
        """


def _fields_but(result: Any, left_out: str) -> dict[str, np.ndarray]:
    """The fields of a dataclass, which every result is, in their order."""
    names = [field.name for field in fields(result)]
    return {name: getattr(result, name) for name in names if name != left_out}


def check_shapes(arrays: Arrays, expected: Mapping[str, tuple[type, tuple[int, ...]]]) -> None:
    """Refuses arrays of another form.

    Args:
        arrays (Arrays): The arrays.
        expected (Mapping[str, tuple[type, tuple[int, ...]]]): Kind of number and shape by name.

    Raises:
        ValueError: If one has another kind or shape.
    """
    for name, (kind, shape) in expected.items():
        found = arrays[name]
        if found.shape != shape or not np.issubdtype(found.dtype, kind):
            raise ValueError(f"{name} holds {found.dtype} of shape {found.shape}, not {shape}")
