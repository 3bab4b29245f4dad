"""What a user chooses, checked when the config is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

from mmseg_robust.engine.weights.selection import check_filters
from mmseg_robust.errors import InputError
from mmseg_robust.models.feature_augmentation.cwfa import check_seed
from mmseg_robust.models.feature_augmentation.schedule import ActiveWindow, Moment

KINDS = ("conv", "linear")
DISTRIBUTIONS = ("erk", "uniform")
INITIAL_MASKS = ("magnitude", "random")
GROWTH = {
    "static": None,
    "set": "random",
    "rigl": "gradient",
    "mest": "random",
    "granet": "gradient",
}
"""The methods, and how each grows weights if the user does not say."""

_GROWTH_IS_A_CHOICE = ("mest", "granet")
_ONLY_FOR = {
    "growth": _GROWTH_IS_A_CHOICE,
    "grad_weight": ("mest",),
    "memory_bound": ("mest",),
    "initial_sparsity": ("granet",),
}
_GRANET_START = 0.2


@dataclass(frozen=True)
class Settings:
    """All settings of sparse training; see ``DynamicSparseTrainingHook`` for what they mean.

    Raises:
        InputError: If a value is wrong or belongs to another method.
    """

    method: str
    sparsity: float
    distribution: str
    interval: int
    drop_fraction: float
    end: Moment
    init: str
    growth: str | None
    grad_weight: float | None
    memory_bound: float | None
    initial_sparsity: float | None
    include: Sequence[str]
    exclude: Sequence[str] | None
    seed: int

    def __post_init__(self) -> None:
        _check_choice("method", self.method, tuple(GROWTH))
        _check_choice("distribution", self.distribution, DISTRIBUTIONS)
        _check_choice("init", self.init, INITIAL_MASKS)
        _check_number("sparsity", self.sparsity, "in [0, 1)", 0 <= _real(self.sparsity) < 1)
        fraction = _real(self.drop_fraction)
        _check_number("drop_fraction", self.drop_fraction, "in (0, 1)", 0 < fraction < 1)
        _check_interval(self.interval)
        check_seed(self.seed)
        ActiveWindow(0, self.end)
        check_filters(KINDS, self.include, self.exclude or ())
        self._check_options_of_methods()

    def _check_options_of_methods(self) -> None:
        for option, methods in _ONLY_FOR.items():
            value = getattr(self, option)
            if value is not None and self.method not in methods:
                raise InputError(
                    f"{option}={value!r} is an option of method={' or '.join(map(repr, methods))}; "
                    f"with method={self.method!r} leave it out"
                )
        if self.growth is not None:
            _check_choice("growth", self.growth, ("random", "gradient"))
        for option in ("grad_weight", "memory_bound"):
            value = getattr(self, option)
            if value is not None:
                _check_number(option, value, "0 or more", _real(value) >= 0)
        if self.initial_sparsity is not None:
            _check_number(
                "initial_sparsity",
                self.initial_sparsity,
                f"in [0, sparsity={self.sparsity}]",
                0 <= _real(self.initial_sparsity) <= self.sparsity,
            )

    @property
    def is_dynamic(self) -> bool:
        """Whether masks change in training."""
        return self.method != "static"

    @property
    def grows_by(self) -> str | None:
        """``"random"``, ``"gradient"``, or None for a static mask."""
        return self.growth or GROWTH[self.method]

    @property
    def gradient_weight(self) -> float:
        """MEST's lambda; 0 for the others."""
        return self.grad_weight or 0.0

    @property
    def surplus(self) -> float:
        """Weights that a layer has above its target between updates, as a fraction of the target.

        MEST's soft memory bound: 0.1 in arXiv 2410.03030 (according to its reviews). 0 for the
        other methods.
        """
        if self.method != "mest":
            return 0.0
        return 0.1 if self.memory_bound is None else self.memory_bound

    @property
    def sparsity_at_start(self) -> float:
        """Sparsity of the first masks: lower than ``sparsity`` for GraNet alone.

        GraNet's default is the initial density 0.8 of arXiv 2410.03030 (according to its reviews);
        a target that is not sparser than that starts dense, as GraNet's code can (own choice).
        """
        if self.method != "granet":
            return self.sparsity
        if self.initial_sparsity is not None:
            return self.initial_sparsity
        return _GRANET_START if self.sparsity > _GRANET_START else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        values = asdict(self)
        for option in ("include", "exclude"):
            values[option] = None if values[option] is None else list(values[option])
        return values


def differences(settings: Settings, stored: dict[str, Any]) -> list[str]:
    """How settings differ from those of a checkpoint.

    Args:
        settings (Settings): Of this run.
        stored (dict): From :meth:`Settings.as_dict`, by way of a checkpoint.

    Returns:
        list[str]: One text for each setting that differs.
    """
    return [
        f"{name}={value!r} here, {stored.get(name)!r} in the checkpoint"
        for name, value in settings.as_dict().items()
        if value != stored.get(name)
    ]


def _real(value: object) -> float:
    """The value as a float; NaN, which passes no comparison, if it is no number."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan


def _check_number(name: str, value: object, allowed: str, fits: bool) -> None:
    if not fits or not math.isfinite(_real(value)):
        raise InputError(f"{name} is {value!r}; it must be a number {allowed}")


def _check_interval(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(f"interval is {value!r}; it must be an integer of 1 or more")


def _check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
