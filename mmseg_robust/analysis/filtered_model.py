"""A trained segmentor or classifier on images of which only some frequencies are kept.

Filtering is that of the papers: ``IFFT(FFT(x) * map)`` of the normalised image, each channel by
itself, not clipped. Here the mean is taken off first and put back afterwards, and the stock data
preprocessor then does all it does: the same numbers, and padding stays unfiltered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from mmseg_robust.analysis.filtered_counts import FilteredCounts, Tally
from mmseg_robust.analysis.split_data import LabelledImage
from mmseg_robust.augmentations.frequency_maps import FrequencyMaps, keep_frequencies
from mmseg_robust.engine.hooks import checkpoint_checks
from mmseg_robust.engine.loops.channel_order import channels_turned
from mmseg_robust.errors import InputError

BASES = {"segmentation": "BaseSegmentor", "classification": "BaseClassifier"}


def load_model(cfg: Config, checkpoint: str, device: torch.device) -> nn.Module:
    """The model of a config with the weights of a checkpoint, ready to predict.

    Args:
        cfg (Config): The config.
        checkpoint (str): The file, whose tensors must be those of the model.
        device (torch.device): Where to put it.

    Returns:
        nn.Module: In evaluation mode.

    Raises:
        InputError: If the checkpoint is missing, cannot be read, or is of another model.
    """
    stored = checkpoint_checks.read(checkpoint)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        model = MODELS.build(cfg.model)
    result = checkpoint_checks.compare(model.state_dict(), stored)
    checkpoint_checks.check_whole(result, checkpoint, "analyse")
    load_checkpoint(model, checkpoint, map_location="cpu")
    return model.to(device).eval()


class FilteredModel:
    """A model on some images, see :class:`~mmseg_robust.analysis.filtered_counts.Measure`.

    Each image goes through the model under several maps at once, and several images if the maps
    are few.

    Args:
        model (nn.Module): A segmentor or a classifier, in evaluation mode.
        task (str): ``'segmentation'`` or ``'classification'``, what the data are for.
        num_classes (int): Number of classes of the data, K.
        images (Sequence[LabelledImage]): The images.
        of_class (Sequence[Sequence[int]]): For each class the places of its images.
        batch_size (int): Most filtered images that go through the model at a time.

    Raises:
        InputError: If the model is no such model, or the batch size is below 1.
    """

    def __init__(
        self,
        model: nn.Module,
        task: str,
        num_classes: int,
        images: Sequence[LabelledImage],
        of_class: Sequence[Sequence[int]],
        batch_size: int,
    ) -> None:
        if BASES[task] not in {base.__name__ for base in type(model).__mro__}:
            raise InputError(
                f"The config's model is a {type(model).__name__}, its data are for {task}: a "
                f"{BASES[task]} is needed. What does not classify has no dominant frequencies."
            )
        if batch_size < 1:
            raise InputError(f"The batch size is {batch_size}; it must be 1 or more.")
        self.model: Any = model
        self.task = task
        self.num_classes = num_classes
        self.images = images
        self.of_class = of_class
        self.batch_size = batch_size
        self._device = next(model.parameters()).device
        self._mean = _pixel_mean(model).to(self._device)

    @torch.no_grad()
    def __call__(self, maps: Tensor, label: int | None = None) -> FilteredCounts:
        """See :class:`~mmseg_robust.analysis.filtered_counts.Measure`.

        Raises:
            InputError: If an image is smaller than the maps, or the outputs do not fit the labels.
        """
        places = range(len(self.images)) if label is None else self.of_class[label]
        tally = Tally(len(maps), self.num_classes, self._device)
        with channels_turned(self.model) as turn:
            for start in range(0, len(maps), self.batch_size):
                some = maps[start : start + self.batch_size]
                fitted: dict[tuple[int, int], Tensor] = {}
                for images in self._batches(places, max(1, self.batch_size // len(some))):
                    size = (images[0].pixels.shape[1], images[0].pixels.shape[2])
                    if size not in fitted:
                        fitted[size] = self._fit(some, size)
                    outputs = self.model.test_step(turn(self._filtered(images, fitted[size])))
                    self._count(tally, start, images, outputs)
        return tally.counts()

    def _batches(self, places: Sequence[int], count: int) -> Iterator[list[LabelledImage]]:
        """Images of one size, so many at a time."""
        batch: list[LabelledImage] = []
        for place in places:
            image = self.images[place]
            if batch and (len(batch) == count or image.pixels.shape != batch[0].pixels.shape):
                yield batch
                batch = []
            batch.append(image)
        if batch:
            yield batch

    def _fit(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        count = len(maps)
        named = FrequencyMaps(maps, tuple(map(str, range(count))), (True,) * count, self.task, {})
        return named.at_size(*size).to(self._device)

    def _filtered(self, images: Sequence[LabelledImage], maps: Tensor) -> dict[str, Any]:
        """A batch: the first image under all maps, then the second."""
        pixels = torch.stack([image.pixels for image in images]).to(self._device).float()
        centred = (pixels - self._mean).repeat_interleave(len(maps), 0)
        inputs = keep_frequencies(centred, maps.repeat(len(images), 1, 1)) + self._mean
        samples = [image.sample.clone() for image in images for _ in maps]
        listed = list(inputs) if self.task == "segmentation" else inputs
        return {"inputs": listed, "data_samples": samples}

    def _count(
        self, tally: Tally, start: int, images: Sequence[LabelledImage], outputs: Sequence[Any]
    ) -> None:
        """Adds the outputs of a batch."""
        count = len(outputs) // len(images)
        filters = torch.arange(start, start + count, device=self._device)
        for place, image in enumerate(images):
            own = outputs[place * count : (place + 1) * count]
            labels = image.labels.to(self._device)
            if self.task == "classification":
                scores = torch.stack([output.pred_score for output in own])
                predicted = torch.stack([output.pred_label for output in own])
                self._add(tally, filters, scores.log(), predicted, labels.view(1))
                continue
            for row, output in enumerate(own):  # one by one: the logits are large
                log = _log_probabilities(output.seg_logits.data)
                if log.shape[1:] != labels.shape:
                    raise InputError(
                        f"{image.name}: the prediction is {tuple(log.shape[1:])}, its label map "
                        f"{tuple(labels.shape)}. LoadAnnotations must stand behind Resize in the "
                        "test pipeline."
                    )
                predicted = output.pred_sem_seg.data.view(1, -1).long()
                one = filters[row : row + 1]
                self._add(tally, one, log.flatten(1)[None], predicted, labels.flatten())

    def _add(
        self, tally: Tally, filters: Tensor, log: Tensor, predicted: Tensor, labels: Tensor
    ) -> None:
        """Adds the items of one image: log-probabilities (B, K) or (1, K, P)."""
        if log.shape[1] != self.num_classes:
            raise InputError(
                f"The model has {log.shape[1]} classes, its data {self.num_classes}: set "
                "num_classes in the config."
            )
        log = log.view(len(filters), self.num_classes, -1)
        shape = (len(filters), log.shape[2])
        expanded = labels.expand(shape)
        own = expanded.clamp(max=self.num_classes - 1)[:, None]  # what does not count: any
        losses = -log.gather(1, own)[:, 0]
        tally.add(filters, losses, predicted.view(shape), expanded)


def _log_probabilities(logits: Tensor) -> Tensor:
    """Of a segmentor's stored output, (C, h, w), for at least two classes."""
    if len(logits) > 1:
        return logits.log_softmax(0)
    # Of one channel MMSegmentation stores the probability of foreground.
    return torch.cat([1 - logits, logits]).log()


def _pixel_mean(model: nn.Module) -> Tensor:
    """What the data preprocessor takes off, in the channel order of its input: (C, 1, 1) or 0."""
    preprocessor: Any = getattr(model, "data_preprocessor", None)
    mean = getattr(preprocessor, "mean", None)
    if not isinstance(mean, Tensor):
        return torch.zeros(())
    turned = getattr(preprocessor, "channel_conversion", False) or getattr(
        preprocessor, "to_rgb", False
    )
    return mean.flip(0) if turned else mean
