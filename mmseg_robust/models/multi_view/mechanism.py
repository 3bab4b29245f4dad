"""Training with several views of each image: what segmentors and classifiers share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor

from mmseg_robust.errors import InputError
from mmseg_robust.models.auxiliary_norm import (
    add_auxiliary_norms,
    copy_main_to_auxiliary,
    fill_auxiliary,
)
from mmseg_robust.models.feature_augmentation.cwfa import check_seed
from mmseg_robust.models.multi_view.norms import ViewNorms
from mmseg_robust.models.multi_view.outputs import ViewOutputs
from mmseg_robust.models.multi_view.pixels import PixelSpace
from mmseg_robust.models.multi_view.plan import Plan, make_plan
from mmseg_robust.models.multi_view.seen_corruptions import log_seen_corruptions
from mmseg_robust.models.multi_view.terms import Term, build_term, check_weight, weighted
from mmseg_robust.models.multi_view.views import CLEAN_VIEW, Views
from mmseg_robust.not_compiled import not_compiled

NORM_STATISTICS = ("per_view", "joint")
ENCODER = ("backbone", "neck")


class MultiView:
    """The views, terms and norms of one model. It is no ``nn.Module``: ``state_dict`` stays stock.

    Args:
        model (nn.Module): The segmentor or classifier, built.
        views (Mapping): See :class:`MultiViewMixin`, as all below.
        terms (Sequence): Configs.
        clean_weight (float): Weight of the stock losses on the clean view.
        norm_statistics (str): ``'per_view'`` or ``'joint'``.
        auxiliary_norm (Sequence[str]): Views that go through auxiliary norms.
        channel_order (str): Of the pipeline.
        seed (int): Of the draws.

    Attributes:
        plan (Plan): Which views go how far; no views if no term has a weight.

    Raises:
        InputError: If a value is wrong or does not fit the model.
    """

    def __init__(
        self,
        model: Any,
        views: Mapping[str, Any],
        terms: Sequence[Mapping[str, Any]],
        clean_weight: float,
        norm_statistics: str,
        auxiliary_norm: Sequence[str],
        channel_order: str,
        seed: int,
    ) -> None:
        if norm_statistics not in NORM_STATISTICS:
            raise InputError(
                f"norm_statistics is {norm_statistics!r}; it must be 'per_view' or 'joint'."
            )
        pixels = PixelSpace(model.data_preprocessor, channel_order)
        self.views = Views(views, pixels, check_seed(seed), model.class_count)
        built = [build_term(config) for config in _listed("terms", terms)]
        routed = _listed("auxiliary_norm", auxiliary_norm)
        self._check_names([*(name for term in built for name in term.altered), *routed])
        _check_once(built)
        self.clean_weight = check_weight("clean_weight", clean_weight)
        self.terms: list[Term] = [term for term in built if term.weight > 0]
        self.plan = make_plan(self.terms, self.clean_weight) if self.terms else Plan((), (), ())
        if self.terms and not self.plan.with_loss:
            raise InputError(
                "clean_weight is 0 and no TaskLossTerm has a weight: nothing would train the head. "
                "Give one of them a weight above 0."
            )
        for term in self.terms:
            term.attach(model)
        auxiliary = [name for name in routed if name in self.plan.drawn]
        self.has_auxiliary = bool(auxiliary)
        if auxiliary and not add_auxiliary_norms(model):
            raise InputError(
                f"auxiliary_norm={list(routed)}, but the model has no batch norms to pair. Leave "
                "it out: the views then share all layers, as in the AFA authors' transformers."
            )
        # Two, because gradient checkpointing runs the encoder again when the heads are through.
        self.encoder_norms = ViewNorms(norm_statistics == "joint", auxiliary)
        self.head_norms = ViewNorms(norm_statistics == "joint", auxiliary)
        self._begun = False

    def _check_names(self, names: Iterable[str]) -> None:
        known = self.views.augmentations
        for name in names:
            if name not in known:
                raise InputError(
                    f"There is no altered view {name!r}. Those in views are: "
                    f"{', '.join(known) or 'none'}."
                )

    # Outside compiled graphs: it hashes on the host and looks at every module once.
    @not_compiled
    def begin(self, model: Any, inputs: Tensor, data_samples: list) -> Tensor:
        """Draws the views of a step and prepares the model for them.

        Args:
            model (nn.Module): The segmentor or classifier.
            inputs (Tensor): Normalised images, (N, 3, H, W).
            data_samples (list): N samples with labels.

        Returns:
            Tensor: (V * N, 3, H, W).
        """
        if not self._begun:
            for name, part in model.named_children():
                norms = self.encoder_norms if name in ENCODER else self.head_norms
                norms.attach(part)
            drawn = [name for name in self.plan.drawn if name != CLEAN_VIEW]
            log_seen_corruptions({name: self.views.augmentations[name] for name in drawn})
            for name in self.views.label_readers.intersection(drawn):
                print_log(f"View {name!r}: {self.views.augmentations[name]}", "current")
            self._begun = True
        self.encoder_norms.views = self.plan.drawn
        for term in self.terms:
            term.start()
        return self.draw(model, inputs, data_samples)

    def draw(self, model: Any, inputs: Tensor, data_samples: list) -> Tensor:
        """Draws the views of a step, (V * N, 3, H, W). Arguments as in :meth:`begin`."""
        names, count, present = self.plan.drawn, self.views.class_count, None
        if count is not None and not self.views.label_readers.isdisjoint(names):
            present = model.classes_present(data_samples, count)
        sizes = model.image_sizes(data_samples)
        return self.views.draw(names, inputs, model.data_preprocessor, sizes, present)

    def reset(self) -> None:
        """Norms take the coming batches as one view again."""
        self.encoder_norms.views = ()
        self.head_norms.views = ()

    def losses(self, outputs: ViewOutputs) -> dict[str, Any]:
        """The losses of a step.

        Args:
            outputs (ViewOutputs): What the network says about the views.

        Returns:
            dict[str, Any]: The clean view's under their stock names, then the terms'.
        """
        losses = {}
        if CLEAN_VIEW in self.plan.with_loss:
            losses = weighted(outputs.task_losses[CLEAN_VIEW], self.clean_weight)
        for term in self.terms:
            losses.update(term(outputs))
        return losses


def _check_once(terms: Sequence[Term]) -> None:
    """Raise an InputError if two terms would have the same name in the log."""
    seen = set()
    for term in terms:
        key = (type(term).__name__, term.altered)
        if key in seen:
            raise InputError(
                f"Two terms are {key[0]} of the view {' and '.join(key[1])}: join them."
            )
        seen.add(key)


def _listed(name: str, value: Any) -> list:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise InputError(f"{name} is {value!r}; it must be a list.")
    return list(value)


class MultiViewMixin(BaseModel):
    """Puts several views before a stock segmentor or classifier, in training.

    Altered copies of the batch are drawn on its device, go through the encoder in one batch with
    the clean one and through the heads as far as a term reads them. The loss is

        clean_weight * stock losses(clean) + sum over terms of weight * term

    In evaluation, and where no term has a weight, it is the stock model to the bit, and no view is
    drawn. ``state_dict`` has the stock keys (and those of auxiliary norms, if there are any).

    Args:
        views (Mapping): Config of a batch augmentation by the name of the view that it draws.
        terms (Sequence[Mapping]): Configs of terms, see
            :mod:`mmseg_robust.models.multi_view.terms`. Defaults to none.
        clean_weight (float): Weight of the stock losses on the clean view, beside terms. Defaults
            to 1. With 0 and no term that compares views, the clean view is not computed.
        norm_statistics (str): ``'per_view'`` (default): batch norms normalise each view by itself
            and keep the running statistics of the clean one. ``'joint'``: all views together, as
            one larger batch.
        auxiliary_norm (Sequence[str]): Views that go through auxiliary batch norms, see
            :mod:`mmseg_robust.models.auxiliary_norm`. Defaults to none.
        channel_order (str): Order of the channels that the pipeline gives to the data
            preprocessor. Defaults to ``'bgr'``, that of OpenMMLab's image loader; ``'rgb'`` for
            data sets that hold RGB arrays, such as MMPretrain's CIFAR.
        seed (int): Seed of the draws. Defaults to 0.
        **stock (Any): The arguments of the stock class.

    Raises:
        InputError: If a value is wrong or the model cannot be trained so.
    """

    def __init__(
        self,
        *,
        views: Mapping[str, Any] | None = None,
        terms: Sequence[Mapping[str, Any]] = (),
        clean_weight: float = 1.0,
        norm_statistics: str = "per_view",
        auxiliary_norm: Sequence[str] = (),
        channel_order: str = "bgr",
        seed: int = 0,
        **stock: Any,
    ) -> None:
        super().__init__(**stock)
        self.multi_view = MultiView(
            self, views or {}, terms, clean_weight, norm_statistics, auxiliary_norm, channel_order,
            seed,
        )  # fmt: skip
        if any(term.reads == "logits" for term in self.multi_view.terms):
            self.check_logits()

    def forward(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        """The stock forward; only in training and in mode ``'loss'`` are there views."""
        self.multi_view.reset()
        return super().forward(inputs, *args, **kwargs)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Any]:
        """Losses of a batch.

        Args:
            inputs (Tensor): Normalised images, (N, 3, H, W).
            data_samples (list): N samples with labels.

        Returns:
            dict[str, Any]: The stock losses, and by name the terms'.

        Raises:
            InputError: If the network's outputs cannot be told apart by view.
        """
        if not (self.training and self.multi_view.terms):
            return super().loss(inputs, data_samples)
        batch = self.multi_view.begin(self, inputs, data_samples)
        outputs = self.view_outputs(self.extract_feat(batch), data_samples)
        return self.multi_view.losses(outputs)

    @abstractmethod
    def view_outputs(self, features: Any, data_samples: list) -> ViewOutputs:
        """Runs the heads.

        Args:
            features (Any): What ``extract_feat`` returns for all drawn views.
            data_samples (list): N samples with labels.

        Returns:
            ViewOutputs: As far as the plan asks for it.
        """

    @abstractmethod
    def check_logits(self) -> None:
        """Raise an InputError unless predictions of two views can be compared."""

    @property
    @abstractmethod
    def class_count(self) -> int | None:
        """Number of classes that the head predicts; None if it does not say."""

    @abstractmethod
    def classes_present(self, data_samples: list, count: int) -> Tensor:
        """Which of ``count`` classes each of N samples shows: bool, (N, count), on its device."""

    def image_sizes(self, data_samples: list) -> list[tuple[int, int]] | None:
        """Height and width of each image without padding; None if there is none."""
        return None

    def init_weights(self) -> None:
        """Initialise as the stock model; auxiliary norms start from the main ones."""
        super().init_weights()
        if self.multi_view.has_auxiliary:
            copy_main_to_auxiliary(self)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        if self.multi_view.has_auxiliary:
            fill_auxiliary(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
