"""Predictions of classifiers: from the outputs to the figures, against plain loops."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_predictions import CLASSES, PROTOCOL, random_predictions
from test_bootstrap import plain_interval

from mmseg_robust.corruptions import Cell
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.bootstrap import bootstrap_intervals, resampled_means
from mmseg_robust.evaluation.comparison import paired_difference
from mmseg_robust.evaluation.image_predictions import (
    ImagePredictions,
    PredictionSums,
    RunPredictions,
)
from mmseg_robust.evaluation.prediction_counter import PredictionCounter
from mmseg_robust.evaluation.record_files import read_counts, write_counts
from mmseg_robust.evaluation.result_store import ResultStore

PASSES = PROTOCOL.passes


def outputs(seed: int = 0) -> list[dict[str, Any]]:
    """A model's output in each pass."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(len(PASSES), len(CLASSES), generator=generator)
    return [
        {"img_path": "a.png", "gt_label": torch.tensor([2]), "pred_score": row.softmax(0)}
        for row in logits
    ]


def made(samples: list[dict[str, Any]], order: list[int] | None = None) -> ImagePredictions:
    counter = PredictionCounter("a", PASSES, len(CLASSES))
    for index in order or range(len(samples)):
        counter.add(index, samples[index])
    return counter.finish().wait()


def test_the_most_probable_class_is_predicted() -> None:
    samples = outputs()
    image = made(samples)
    assert (image.name, int(image.label)) == ("a", 2)
    for index, sample in enumerate(samples):
        best = max(range(len(CLASSES)), key=lambda c: sample["pred_score"][c])
        assert image.predictions[index] == best
        assert image.confidence[index] == sample["pred_score"][best]
    np.testing.assert_array_equal(image.clean_scores, samples[0]["pred_score"])
    turned = made(samples, [0, *range(5, len(PASSES)), *range(1, 5)])
    np.testing.assert_array_equal(turned.predictions, image.predictions)


def test_nan_is_kept_as_missing_confidence() -> None:
    samples = outputs()
    samples[3]["pred_score"] = torch.tensor([0.2, float("nan"), 0.5, 0.3])
    image = made(samples)
    assert np.flatnonzero(np.isnan(image.confidence)).tolist() == [3]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"gt_label": None}, r"No label came with 'a\.png'"),
        ({"gt_label": torch.tensor([0, 2])}, r"'a\.png' has 2 labels"),
        ({"gt_label": torch.tensor([])}, "has 0 labels"),
        ({"gt_label": torch.tensor([4])}, r"label of 'a\.png' is 4: allowed are 0 to 3"),
        ({"gt_label": torch.tensor([-1])}, "is -1: allowed"),
        ({"pred_score": None}, "as pred_score for 'a.png', but none"),
        ({"pred_score": torch.ones(9)}, r"each of the 4 classes .* but shape \(9,\)"),
    ],
)
def test_outputs_that_cannot_be_measured_are_named(changes: dict, message: str) -> None:
    samples = [{**sample, **changes} for sample in outputs()]
    samples = [{k: v for k, v in sample.items() if v is not None} for sample in samples]
    with pytest.raises(InputError, match=message):
        made(samples)


def test_the_store_gives_back_what_it_got(tmp_path: Path) -> None:
    image, passes = made(outputs()), len(PASSES)
    ResultStore(tmp_path, {}, passes, ImagePredictions).write(3, image)
    store = ResultStore(tmp_path, {}, passes, ImagePredictions)
    found = store.read(3)
    assert isinstance(found, ImagePredictions) and found.name == "a"
    for name, array in image.arrays().items():
        assert found.arrays()[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays()[name], array)
    whole = store.path(3).read_bytes()
    for place in range(60, len(whole) - 100, 97):
        store.path(3).write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        again = store.read(3)
        assert again is None or (again.arrays()["confidence"] == image.confidence).all()
    store.path(3).write_bytes(whole)
    assert ResultStore(tmp_path, {}, 5, ImagePredictions).read(3) is None, "of another protocol"
    assert ResultStore(tmp_path, {}, passes).read(3) is None, "of another task"


def test_sums_put_images_in_their_places() -> None:
    images = [made(outputs(seed)) for seed in range(3)]
    sums = PredictionSums(3, len(PASSES), len(CLASSES))
    for place in (2, 0, 1):
        sums.add(place, images[place])
    run = sums.finish(["x", "y", "z"])
    assert run.names == ("x", "y", "z")
    for place, image in enumerate(images):
        np.testing.assert_array_equal(run.predictions[place], image.predictions)
        np.testing.assert_array_equal(sums.clean_scores[place], image.clean_scores)


def test_figures_equal_a_plain_count() -> None:
    run = random_predictions(num_images=40)
    run.confidence[5, 3] = np.nan
    run.predictions[5, 3] = run.label[5]  # right, but for the missing probability
    for index, cell in enumerate(PASSES):
        right = [
            bool(prediction == label and confidence == confidence)
            for prediction, label, confidence in zip(
                run.predictions[:, index], run.label, run.confidence[:, index]
            )
        ]
        figures = run.figures(PROTOCOL, index)
        assert figures["top1_error"] == pytest.approx(100 - 100 * sum(right) / 40)
        assert figures["nan_images"] == (index == 3)
        weaker = {0: index, 1: 0}.get(index, 0 if cell.severity == 2 else index - 1)
        changed = (run.predictions[:, index] != run.predictions[:, weaker]).mean()
        assert figures["flip_rate"] == pytest.approx(changed, nan_ok=True) or index == 0
    assert np.isnan(run.figures(PROTOCOL, 0)["flip_rate"])


def test_intervals_and_differences_equal_those_of_a_plain_loop() -> None:
    one, other = random_predictions(), random_predictions(seed=7, accuracy=0.6)
    random = np.random.Generator(np.random.PCG64(0))
    rows: list[list[np.ndarray]] = [[], []]
    for _ in range(1000):
        drawn = random.integers(12, size=12)
        for run, found in zip((one, other), rows):
            right = run.predictions[drawn] == run.label[drawn][:, None]
            found.append(100 * right.mean(0))
    intervals = bootstrap_intervals(PROTOCOL, one.resampled_scores())
    assert intervals.clean == pytest.approx(plain_interval([row[0] for row in rows[0]]))
    mean = [row[1:].mean() for row in rows[0]]  # all corruptions of the demo have two severities
    assert intervals.mean == pytest.approx(plain_interval(mean))
    fog = [PASSES.index(Cell("fog", severity)) for severity in (2, 4)]
    found = paired_difference(PROTOCOL, one, other)
    change = [(a[fog] - b[fog]).mean() for a, b in zip(*rows)]
    assert found.corruptions["fog"].interval == pytest.approx(plain_interval(change))
    means = [100 * (run.predictions == run.label[:, None])[:, 1:].mean() for run in (one, other)]
    assert found.mean.value == pytest.approx(means[0] - means[1])
    assert np.isnan(resampled_means(np.ones((1, 3)))).all(), "one image tells nothing of others"


def test_images_are_paired_by_name() -> None:
    one, other = random_predictions(), random_predictions(seed=7)
    expected = paired_difference(PROTOCOL, one, other)
    turned = other.in_order([*range(6, 12), *range(6)])
    assert turned.names[0] == "06" and (turned.confidence[0] == other.confidence[6]).all()
    assert paired_difference(PROTOCOL, one, turned) == expected
    with pytest.raises(InputError, match="images of one name have other labels"):
        paired_difference(PROTOCOL, one, random_predictions(label_seed=1))
    with pytest.raises(InputError, match="of their 12 and 9 images 9 have a name in common"):
        paired_difference(PROTOCOL, one, other.in_order(range(9)))


def test_confidence_tells_which_images_went_worst() -> None:
    run = RunPredictions(
        ("sure", "unsure", "right", "nan"),
        np.array([1, 1, 1, 1]),
        np.array([[0], [0], [1], [1]]),
        np.array([[0.9], [0.4], [0.7], [np.nan]], np.float32),
    )
    assert run.image_scores()[:, 0].tolist() == pytest.approx([-90, -40, 70, 0])


def test_predictions_survive_their_file(tmp_path: Path) -> None:
    run, path = random_predictions(), tmp_path / "r_images.npz"
    write_counts(run, path)
    found = read_counts(path)
    assert isinstance(found, RunPredictions) and found.names == run.names
    for name, array in run.arrays().items():
        assert found.arrays()[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays()[name], array)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"label": np.zeros(5, np.int32)}, r"label holds int32 of shape \(5,\), not \(12,\)"),
        ({"predictions": np.zeros((12, 13))}, "predictions holds float64"),
        ({"confidence": np.zeros((12, 13), np.int64)}, "confidence holds int64"),
        ({"names": ("a",)}, r"label holds int32 of shape \(12,\), not \(1,\)"),
    ],
)
def test_predictions_that_do_not_fit_together_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "r_images.npz"
    write_counts(dataclasses.replace(random_predictions(), **changes), path)
    with pytest.raises(InputError, match=message):
        read_counts(path)
