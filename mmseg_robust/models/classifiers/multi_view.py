"""MMPretrain's classifier with several views of each image; importing it needs MMPretrain."""

from __future__ import annotations

from typing import Any

import torch
from mmpretrain.models import ImageClassifier
from mmpretrain.models.heads.cls_head import ClsHead
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmseg_robust.augmentations import classes_in
from mmseg_robust.errors import InputError
from mmseg_robust.models.multi_view.mechanism import MultiViewMixin
from mmseg_robust.models.multi_view.outputs import ViewOutputs, first_views, split_views


class MultiViewImageClassifier(MultiViewMixin, ImageClassifier):
    """``ImageClassifier`` with several views of each image in training.

    See :class:`~mmseg_robust.models.multi_view.mechanism.MultiViewMixin` for the arguments. Batch
    augmentations such as mixup act first: the views are altered copies of the mixed images.

    Raises:
        InputError: If a value is wrong or the model cannot be trained so.
    """

    def __init__(self, **settings: Any) -> None:
        if settings.get("head") is None:
            raise InputError("Training with several views needs a head: set model.head.")
        super().__init__(**settings)

    def view_outputs(self, features: Any, data_samples: list) -> ViewOutputs:
        """Runs the head.

        Args:
            features (Any): What ``extract_feat`` returns for all drawn views.
            data_samples (list): N samples with labels.

        Returns:
            ViewOutputs: As far as the plan asks for it; logits (N, C).

        Raises:
            InputError: If the head's outputs cannot be told apart by view.
        """
        plan, norms = self.multi_view.plan, self.multi_view.head_norms
        features = first_views(features, len(plan.with_logits), len(plan.drawn))
        out = ViewOutputs(plan.drawn)
        if not self._is_plain:
            parts = split_views(features, len(plan.with_logits))
            for view, part in zip(plan.with_loss, parts):
                norms.views = (view,)
                out.task_losses[view] = self.head.loss(part, data_samples)
            return out
        # A stock head's loss is its forward and then this.
        norms.views = plan.with_logits
        scores: list[Tensor] = split_views(self.head(features), len(plan.with_logits))
        out.logits = dict(zip(plan.with_logits, scores))
        for view in plan.with_loss:
            out.task_losses[view] = self.head._get_loss(out.logits[view], data_samples)
        return out

    @property
    def class_count(self) -> int | None:
        """Number of classes of the head."""
        return getattr(self.head, "num_classes", None)

    def classes_present(self, data_samples: list, count: int) -> Tensor:
        """Which of a number of classes each image is labelled with, bool, (N, count)."""
        if "gt_score" in data_samples[0]:  # images that were mixed
            return torch.stack([sample.gt_score for sample in data_samples]) > 0
        labels = [sample.gt_label for sample in data_samples]
        padded = pad_sequence(labels, batch_first=True, padding_value=-1)
        return classes_in(padded, count)

    @property
    def _is_plain(self) -> bool:
        return isinstance(self.head, ClsHead) and type(self.head).loss is ClsHead.loss

    def check_logits(self) -> None:
        """Raise an InputError if the head has a loss, hence scores, of its own."""
        if not self._is_plain:
            raise InputError(
                f"The head {type(self.head).__name__} has a loss of its own; a StabilityTerm or "
                "JensenShannonTerm needs one that is scored as ClsHead. Use FMATerm or "
                "TaskLossTerm."
            )
