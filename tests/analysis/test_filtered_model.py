"""Stock models on filtered images, against the papers' filter written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import class_runs
import colour_runs
import pytest
import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmseg_robust.analysis.chosen_images import choose_images
from mmseg_robust.analysis.filtered_counts import FilteredCounts
from mmseg_robust.analysis.filtered_model import FilteredModel, load_model
from mmseg_robust.analysis.split_data import Split
from mmseg_robust.augmentations.frequency_maps import FrequencyMaps, mirrored
from mmseg_robust.errors import InputError

CPU = torch.device("cpu")


def some_maps(count: int, height: int, width: int) -> Tensor:
    """Random maps, the first one whole, the second without DC."""
    maps = torch.rand(count, height, width, generator=torch.Generator().manual_seed(0)) < 0.7
    maps[0] = True
    maps |= mirrored(maps)
    maps[1:2, height // 2, width // 2] = False
    return maps


class Run:
    """A config, its model and its data.

    Args:
        cfg (Config): The config; its training images are its test images.
        runs (Any): ``colour_runs`` or ``class_runs``.
        checkpoint (Path): Where to write the weights.
    """

    def __init__(self, cfg: Config, runs: Any, checkpoint: Path) -> None:
        self.cfg, self.checkpoint = cfg, checkpoint
        model = runs.build(cfg).model
        torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
        self.model = load_model(cfg, str(checkpoint), CPU)
        self.split = Split(cfg, "test")
        self.chosen = choose_images(self.split, 100, 0, lambda done, total: None)

    def measure(self, batch_size: int) -> FilteredModel:
        return FilteredModel(
            self.model, self.split.task, len(self.split.classes), self.chosen.images,
            self.chosen.of_class, batch_size,
        )  # fmt: skip


@pytest.fixture(scope="module")
def segmentor(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("scenes")
    colour_runs.write_scenes(root, 3)
    colour_runs.write_scenes(root / "tall", 2, height=64, width=48)
    changes: dict[str, Any] = {
        "model.data_preprocessor.mean": [90.0, 120.0, 60.0],
        "model.data_preprocessor.std": [200.0, 210.0, 220.0],
        "model.data_preprocessor.test_cfg": dict(size_divisor=32),  # pads
    }
    cfg = colour_runs.config(root, root / "work", **changes)
    tall = dict(cfg.test_dataloader.dataset, data_root=str(root / "tall"))
    joined = [dict(cfg.test_dataloader.dataset), tall]
    cfg.test_dataloader.dataset = dict(type="ConcatDataset", datasets=joined)
    return Run(cfg, colour_runs, root / "model.pth")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Run:
    pytest.importorskip("mmpretrain")
    root = tmp_path_factory.mktemp("pictures")
    class_runs.write_pictures(root / "data", 7)
    cfg = class_runs.config(root / "data", root / "work")
    return Run(cfg, class_runs, root / "model.pth")


def filtered_by_the_book(model: nn.Module, pixels: Tensor, kept: Tensor) -> Tensor:
    """The normalised image without frequencies: shift, multiply, shift back, real part."""
    preprocessor: Any = model.data_preprocessor
    rgb = (pixels.double().flip(0) - preprocessor.mean) / preprocessor.std
    axes = (-2, -1)
    spectrum = torch.fft.fftshift(torch.fft.fft2(rgb), dim=axes) * kept
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=axes)).real.float()


@torch.no_grad()
def test_a_segmentor_sees_the_papers_filter(segmentor: Run) -> None:
    maps = some_maps(3, 16, 16)
    counts = segmentor.measure(4)(maps)
    expected = torch.zeros(3, 4, 3, dtype=torch.long)
    fitted = FrequencyMaps(maps, ("a", "b", "c"), (True,) * 3, "segmentation", {})
    sizes = set()
    for image in segmentor.chosen.images:
        sizes.add(image.pixels.shape)
        for row, kept in enumerate(fitted.at_size(*image.pixels.shape[1:])):
            inputs = filtered_by_the_book(segmentor.model, image.pixels, kept)
            height, width = inputs.shape[1:]
            padded = nn.functional.pad(inputs, (0, -width % 32, 0, -height % 32))
            meta = dict(image.sample.metainfo, pad_shape=padded.shape[1:])
            logits = segmentor.model.encode_decode(padded[None], [meta])
            logits = nn.functional.interpolate(
                logits[..., :height, :width], image.labels.shape, mode="bilinear"
            )
            predicted, labels = logits[0].argmax(0), image.labels
            for label in range(3):
                own, said = labels == label, (predicted == label) & (labels < 3)
                expected[row, 0, label] += (own & said).sum()
                expected[row, 1, label] += said.sum()
                expected[row, 2, label] += own.sum()
    assert len(sizes) == 2
    assert torch.equal(counts.labelled, expected[:, 2])
    assert (counts.predicted - expected[:, 1]).abs().max() <= 3, "but for ties of logits"
    assert (counts.correct - expected[:, 0]).abs().max() <= 3
    assert not torch.equal(counts.correct[0], counts.correct[1]), "filters matter"


@torch.no_grad()
def test_a_classifier_sees_the_papers_filter(classifier: Run) -> None:
    maps = some_maps(4, 40, 40)
    counts = classifier.measure(5)(maps)
    for row, kept in enumerate(maps):
        inputs = [
            filtered_by_the_book(classifier.model, image.pixels, kept)
            for image in classifier.chosen.images
        ]
        logits = classifier.model(torch.stack(inputs), mode="tensor")
        labels = torch.cat([image.labels[0] for image in classifier.chosen.images])
        losses = nn.functional.cross_entropy(logits, labels, reduction="none")
        for label in range(3):
            own = labels == label
            assert counts.labelled[row, label] == own.sum()
            assert counts.correct[row, label] == (logits.argmax(1) == label)[own].sum()
            assert counts.predicted[row, label] == (logits.argmax(1) == label).sum()
            loss = losses[own].mean().double()
            torch.testing.assert_close(counts.mean_loss()[row, label], loss, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", ["segmentor", "classifier"])
def test_the_batch_size_changes_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(kind)
    maps = some_maps(5, 16, 16)
    counts = [run.measure(size)(maps) for size in (1, 3, 12)]
    for other in counts[1:]:
        for name in ("correct", "predicted", "labelled"):
            # In float32 another batch may round otherwise, which turns a tie.
            difference = getattr(other, name) - getattr(counts[0], name)
            assert difference.abs().max() <= 1, name
        torch.testing.assert_close(other.mean_loss(), counts[0].mean_loss(), atol=1e-4, rtol=1e-4)


def test_one_class_alone(classifier: Run) -> None:
    counts = classifier.measure(4)(some_maps(2, 8, 8), label=1)
    assert counts.labelled.tolist() == [[0, 2, 0]] * 2
    whole = classifier.measure(4)(some_maps(2, 8, 8))
    assert torch.equal(counts.correct[:, 1], whole.correct[:, 1])


def test_refusals(segmentor: Run, classifier: Run, tmp_path: Path) -> None:
    images, of_class = segmentor.chosen.images, segmentor.chosen.of_class
    with pytest.raises(InputError, match="a ImageClassifier, its data are for segmentation"):
        FilteredModel(classifier.model, "segmentation", 3, images, of_class, 1)
    with pytest.raises(InputError, match="batch size is 0"):
        FilteredModel(segmentor.model, "segmentation", 3, images, of_class, 0)
    with pytest.raises(InputError, match="has 3 classes, its data 4"):
        FilteredModel(segmentor.model, "segmentation", 4, images, of_class, 1)(some_maps(1, 8, 8))
    with pytest.raises(InputError, match="smaller than the frequency maps of 99 x 8"):
        segmentor.measure(2)(some_maps(1, 99, 8))
    weights = segmentor.model.state_dict()
    headless = {name: value for name, value in weights.items() if "conv_seg" not in name}
    torch.save(dict(state_dict=headless), tmp_path / "headless.pth")
    with pytest.raises(InputError, match="missing in the checkpoint"):
        load_model(segmentor.cfg, str(tmp_path / "headless.pth"), CPU)
    with pytest.raises(InputError, match="does not exist"):
        load_model(segmentor.cfg, str(tmp_path / "nothing.pth"), CPU)


def test_counts_are_those_of_the_stock_metric(segmentor: Run) -> None:
    from mmseg.evaluation import IoUMetric

    counts: FilteredCounts = segmentor.measure(2)(torch.ones(1, 2, 2, dtype=torch.bool))
    metric = IoUMetric(iou_metrics=["mIoU"])
    metric.dataset_meta = dict(classes=segmentor.split.classes)
    dataset = Split(segmentor.cfg, "test")._dataset
    for item in dataset:
        data = {key: [value] for key, value in item.items()}
        with torch.no_grad():
            outputs = segmentor.model.test_step(data)
        metric.process(data, [output.to_dict() for output in outputs])
    stock = metric.compute_metrics(metric.results)
    assert abs(stock["mIoU"] - 100 * float(counts.iou().mean())) < 0.02  # it rounds
