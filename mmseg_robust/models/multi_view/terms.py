"""The summands that views add to a training's loss. The papers' equations are in ``models/losses``.

Each term names the view that it reads and its weight, and tells the mechanism what it needs of the
network. More can be registered in ``mmengine.registry.MODELS``: subclasses of :class:`Term`.
"""

from __future__ import annotations

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, ClassVar

from mmengine.registry import MODELS
from torch import Tensor, nn

from mmseg_robust.errors import InputError
from mmseg_robust.models.losses.fma import fma_loss
from mmseg_robust.models.losses.jensen_shannon import jensen_shannon_loss
from mmseg_robust.models.losses.stability import check_distance, stability_loss
from mmseg_robust.models.multi_view.outputs import ViewOutputs
from mmseg_robust.models.multi_view.stage_capture import StageCapture
from mmseg_robust.models.multi_view.views import CLEAN_VIEW
from mmseg_robust.models.stage_outputs import ModuleSpec


class Term(ABC):
    """One weighted summand of the loss.

    Args:
        weight (float): Factor of the term, 0 or more. A term of weight 0 is left out.
        altered (Sequence[str]): Names of the altered views that it reads.

    Attributes:
        reads (str): What it needs of each of its views: ``'stages'`` (the encoder's stage outputs),
            ``'logits'`` or ``'task_losses'``.
        compares (bool): Whether it reads the clean view too.

    Raises:
        InputError: If the weight is no finite number of 0 or more.
    """

    reads: ClassVar[str]
    compares: ClassVar[bool] = True

    def __init__(self, weight: float, altered: Sequence[str]) -> None:
        self.weight = check_weight(f"weight of {type(self).__name__}", weight)
        self.altered = tuple(altered)

    @property
    def views(self) -> tuple[str, ...]:
        """All views that it reads, the clean one first."""
        return (CLEAN_VIEW, *self.altered) if self.compares else self.altered

    def attach(self, model: nn.Module) -> None:  # noqa: B027  (most need nothing)
        """Prepare the model, once, when it is built.

        Args:
            model (nn.Module): The segmentor or classifier.

        Raises:
            InputError: If the term does not fit the model.
        """

    def start(self) -> None:  # noqa: B027
        """Prepare for the coming forward pass."""

    @abstractmethod
    def __call__(self, outputs: ViewOutputs) -> dict[str, Any]:
        """The term of a training step.

        Args:
            outputs (ViewOutputs): What the network says about the views.

        Returns:
            dict[str, Any]: Weighted scalars by name, for the log; those with ``loss`` in their name
            are added to the total loss.
        """


@MODELS.register_module()
class FMATerm(Term):
    """Distance between the stage outputs of the clean and an altered view (FMA loss).

    See :func:`~mmseg_robust.models.losses.fma.fma_loss`. The head does not see the altered view.
    For segmentation, positions count whose nearest pixel has a label, which leaves out padding (the
    project's own choice; the distance itself needs no labels).

    Args:
        weight (float): Weight of the mean over the stages.
        view (str): The altered view.
        stages (Sequence[int], optional): Stages from 0. Defaults to None, all.
        modules (Sequence, optional): For a backbone that is not known: paths in the model of the
            modules whose outputs are the stage outputs, see
            :func:`~mmseg_robust.models.stage_outputs.find_stage_outputs`.
        normalize (bool): Whether each stage is measured against its own scale. Defaults to False.
        stop_gradient (bool): Whether the clean view is a fixed target. Defaults to True.

    Raises:
        InputError: If a value is wrong; when the model is built, if it has no such stage.
    """

    reads = "stages"

    def __init__(
        self,
        weight: float,
        view: str,
        stages: Sequence[int] | None = None,
        modules: Sequence[ModuleSpec] | None = None,
        normalize: bool = False,
        stop_gradient: bool = True,
    ) -> None:
        super().__init__(weight, (view,))
        self.stages = stages
        self.modules = modules
        self.settings = dict(normalize=normalize, stop_gradient=stop_gradient)
        self.capture: StageCapture | None = None

    def attach(self, model: nn.Module) -> None:
        """Find the stages."""
        self.capture = StageCapture(model, self.stages, self.modules)

    def start(self) -> None:
        """Read the stage outputs of the coming pass."""
        assert self.capture is not None
        self.capture.start()

    def __call__(self, outputs: ViewOutputs) -> dict[str, Tensor]:
        """See :meth:`Term.__call__`."""
        assert self.capture is not None
        clean, view = self.views
        total: Any = 0.0
        stages = self.capture.take()
        for features in stages:
            by_view = outputs.by_view(outputs.as_map(features))
            valid = outputs.valid_at(by_view[clean])
            total = total + fma_loss(by_view[clean], by_view[view], valid=valid, **self.settings)
        return {f"{view}.loss_fma": total * (self.weight / len(stages))}


@MODELS.register_module()
class StabilityTerm(Term):
    """Distance between the predictions for the clean and an altered view (stability training).

    See :func:`~mmseg_robust.models.losses.stability.stability_loss`. For segmentation a prediction
    is that of each labelled pixel, at the head's resolution (the project's own choice).

    Args:
        weight (float): The paper's alpha.
        view (str): The altered view.
        distance (str): ``'kl'`` (default), ``'ce'`` or ``'l2'``.
        stop_gradient (bool): Whether the clean view is a fixed target. Defaults to False.

    Raises:
        InputError: If a value is wrong.
    """

    reads = "logits"

    def __init__(
        self, weight: float, view: str, distance: str = "kl", stop_gradient: bool = False
    ) -> None:
        super().__init__(weight, (view,))
        self.distance = check_distance(distance)
        self.stop_gradient = stop_gradient

    def __call__(self, outputs: ViewOutputs) -> dict[str, Tensor]:
        """See :meth:`Term.__call__`."""
        clean, view = (outputs.logits[name] for name in self.views)
        valid = outputs.valid_at(clean)
        loss = stability_loss(clean, view, valid, self.distance, self.stop_gradient)
        return {f"{self.altered[0]}.loss_stability": loss * self.weight}


@MODELS.register_module()
class JensenShannonTerm(Term):
    """How far the predictions for three views are from their mean (AugMix's and AFA's JSD).

    See :func:`~mmseg_robust.models.losses.jensen_shannon.jensen_shannon_loss`.

    Args:
        weight (float): The papers' lambda.
        views (Sequence[str]): Two altered views beside the clean one.

    Raises:
        InputError: If a value is wrong.
    """

    reads = "logits"

    def __init__(self, weight: float, views: Sequence[str]) -> None:
        if isinstance(views, str) or len(views) != 2 or len(set(views)) != 2:
            raise InputError(f"views of JensenShannonTerm is {views!r}; it must name two views.")
        super().__init__(weight, views)

    def __call__(self, outputs: ViewOutputs) -> dict[str, Tensor]:
        """See :meth:`Term.__call__`."""
        logits = [outputs.logits[view] for view in self.views]
        loss = jensen_shannon_loss(logits, outputs.valid_at(logits[0])) * self.weight
        return {f"{'_'.join(self.altered)}.loss_jensen_shannon": loss}


@MODELS.register_module()
class TaskLossTerm(Term):
    """The stock losses of all heads on an altered view, with the labels of the clean one.

    Half of it and half of the clean view's losses (``clean_weight=0.5``) is AFA's auxiliary
    cross-entropy (ACE, arXiv 2403.01944) and, without auxiliary norms, plain data augmentation.

    Args:
        weight (float): Weight of the view's losses.
        view (str): The altered view.

    Raises:
        InputError: If the weight is wrong.
    """

    reads = "task_losses"
    compares = False

    def __init__(self, weight: float, view: str) -> None:
        super().__init__(weight, (view,))

    def __call__(self, outputs: ViewOutputs) -> dict[str, Any]:
        """See :meth:`Term.__call__`."""
        (view,) = self.views
        losses = weighted(outputs.task_losses[view], self.weight)
        return {f"{view}.{name}": value for name, value in losses.items()}


def build_term(config: Mapping[str, Any]) -> Term:
    """Builds a term from its config.

    Args:
        config (Mapping): ``type``, such as ``'FMATerm'``, and the arguments of that class.

    Returns:
        Term: The term.

    Raises:
        InputError: If the type is unknown or an argument is wrong.
    """
    name = config.get("type") if isinstance(config, Mapping) else None
    with MODELS.switch_scope_and_registry(None) as registry:
        cls = registry.get(name) if isinstance(name, str) else None
    if not (isinstance(cls, type) and issubclass(cls, Term)):
        known = sorted(own.__name__ for own in Term.__subclasses__())
        nearest = difflib.get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise InputError(f"Unknown term {config!r}.{hint} Known types: {', '.join(known)}.")
    arguments = {key: value for key, value in config.items() if key != "type"}
    try:
        return cls(**arguments)
    except TypeError as error:
        raise InputError(f"{name}: {error}.") from error


def weighted(losses: Mapping[str, Any], weight: float) -> dict[str, Any]:
    """Stock losses times a weight; what is no loss, such as an accuracy, stays.

    Args:
        losses (Mapping): Scalars, or lists of scalars, by name.
        weight (float): The factor.

    Returns:
        dict[str, Any]: The same names.
    """
    return {
        name: value
        if "loss" not in name
        else [part * weight for part in value]
        if isinstance(value, (list, tuple))
        else value * weight
        for name, value in losses.items()
    }


def check_weight(name: str, value: float) -> float:
    """Return a weight, or raise InputError if it is not a finite number of 0 or more."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise InputError(f"{name} is {value!r}; it must be a finite number of 0 or more.")
    return float(value)
