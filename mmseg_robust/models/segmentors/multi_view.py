"""MMSegmentation's segmentors, trained with several views of each image."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.models import CascadeEncoderDecoder, EncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import add_prefix
from torch import Tensor, nn

from mmseg_robust.augmentations import classes_in
from mmseg_robust.errors import InputError
from mmseg_robust.models.multi_view.mechanism import MultiViewMixin
from mmseg_robust.models.multi_view.outputs import ViewOutputs, first_views, split_views
from mmseg_robust.models.segmentors.heads import HeadPass, is_plain, labelled, prediction


class MultiViewSegmentor(MultiViewMixin):
    """What the two segmentors below share: the heads' part of a training step."""

    def view_outputs(self, features: Any, data_samples: list) -> ViewOutputs:
        """Runs the decode heads on views with logits or loss, auxiliary heads on those with loss.

        Args:
            features (Any): What the encoder returns for all drawn views.
            data_samples (list): N samples with labels.

        Returns:
            ViewOutputs: As far as the plan asks for it.

        Raises:
            InputError: If a head's outputs cannot be told apart by view.
        """
        plan, norms = self.multi_view.plan, self.multi_view.head_norms
        losses: list[dict[str, Any]] = [{} for _ in plan.with_loss]
        heads = HeadPass(plan.with_logits, len(losses), norms, data_samples, self.train_cfg)
        inputs = [first_views(features, len(plan.with_logits), len(plan.drawn))]
        for name, head in self.named_decode_heads():
            found, outputs = heads.run(head, *inputs)
            inputs = [inputs[0], outputs]
            _add(losses, found, name)
        out = ViewOutputs(plan.drawn, dict(zip(plan.with_loss, losses)))
        if any(term.compares for term in self.multi_view.terms):
            out.valid = labelled(head, data_samples)
        if any(term.reads == "logits" for term in self.multi_view.terms):
            logits = split_views(prediction(head, outputs), len(plan.with_logits))
            out.logits = dict(zip(plan.with_logits, logits))

        heads = HeadPass(plan.with_loss, len(losses), norms, data_samples, self.train_cfg)
        features = first_views(features, len(losses), len(plan.drawn))
        for name, head in self.named_auxiliary_heads():
            found, _ = heads.run(head, features)
            _add(losses, found, name)
        return out

    def named_decode_heads(self) -> list[tuple[str, nn.Module]]:
        """The decode heads, the one that predicts last, by the stock prefix of their losses."""
        return [("decode", self.decode_head)]

    def named_auxiliary_heads(self) -> list[tuple[str, nn.Module]]:
        """The auxiliary heads by the stock prefix of their losses."""
        if not self.with_auxiliary_head:
            return []
        if isinstance(self.auxiliary_head, nn.ModuleList):
            return [(f"aux_{index}", head) for index, head in enumerate(self.auxiliary_head)]
        return [("aux", self.auxiliary_head)]

    def check_logits(self) -> None:
        """Raise an InputError if the head that predicts has a loss, hence outputs, of its own."""
        head = self.named_decode_heads()[-1][1]
        if not is_plain(head):
            raise InputError(
                f"The head {type(head).__name__} predicts no logits for each pixel, which a "
                "StabilityTerm or JensenShannonTerm compares. Use FMATerm or TaskLossTerm."
            )

    @property
    def class_count(self) -> int | None:
        """Number of classes of the head that predicts."""
        count = getattr(self.named_decode_heads()[-1][1], "num_classes", None)
        # One class is a sigmoid over background (0) and foreground (1).
        return None if count is None else max(count, 2)

    def classes_present(self, data_samples: list, count: int) -> Tensor:
        """Which of a number of classes each label map holds, bool, (N, count)."""
        labels = torch.stack([sample.gt_sem_seg.data for sample in data_samples])
        return classes_in(labels, count)

    def image_sizes(self, data_samples: list) -> list[tuple[int, int]] | None:
        """Height and width of each image without padding, as the data preprocessor notes them."""
        sizes = [sample.get("img_shape") for sample in data_samples]
        return None if None in sizes else [tuple(size[:2]) for size in sizes]


def _add(losses: list[dict[str, Any]], found: list[dict[str, Any]], prefix: str) -> None:
    for own, new in zip(losses, found):
        own.update(add_prefix(new, prefix))


@MODELS.register_module()
class MultiViewEncoderDecoder(MultiViewSegmentor, EncoderDecoder):
    """``EncoderDecoder`` with several views of each image in training.

    For a child config over any stock one with that type; see
    :class:`~mmseg_robust.models.multi_view.mechanism.MultiViewMixin` for the arguments::

        model = dict(
            type='MultiViewEncoderDecoder',
            views=dict(noisy=dict(type='GaussianNoise', sigma=0.04)),
            terms=[dict(type='StabilityTerm', weight=0.01, view='noisy')])

    Raises:
        InputError: If a value is wrong or the model cannot be trained so.
    """

    def __init__(self, *, decode_head: Any, **settings: Any) -> None:
        if isinstance(decode_head, (list, tuple)):
            raise InputError(
                "decode_head is a list, as cascades have it: use "
                "type='MultiViewCascadeEncoderDecoder'."
            )
        super().__init__(decode_head=decode_head, **settings)


@MODELS.register_module()
class MultiViewCascadeEncoderDecoder(MultiViewSegmentor, CascadeEncoderDecoder):
    """``CascadeEncoderDecoder`` with several views of each image in training.

    Each head reads what the one before it returned when its own loss was computed; the stock class
    runs that one a second time, with other dropout.

    Raises:
        InputError: If a value is wrong or the model cannot be trained so.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, head in self.named_decode_heads()[:-1]:
            if not is_plain(head):
                raise InputError(
                    f"{name} is a {type(head).__name__}, whose loss keeps its outputs to itself: "
                    "in a cascade with several views it can only be the last head."
                )

    def named_decode_heads(self) -> list[tuple[str, nn.Module]]:
        """See :meth:`MultiViewSegmentor.named_decode_heads`."""
        return [(f"decode_{index}", head) for index, head in enumerate(self.decode_head)]
