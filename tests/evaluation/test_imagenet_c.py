"""ImageNet-C's published figures, and reports on classifiers."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_predictions import (
    PROTOCOL,
    made_up_errors,
    random_predictions,
    write_classifier_run,
)

from mmseg_robust.corruptions import Cell, get_protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.baseline import read_baseline
from mmseg_robust.evaluation.comparison import paired_difference
from mmseg_robust.evaluation.export import to_csv, to_markdown
from mmseg_robust.evaluation.finished_runs import read_runs
from mmseg_robust.evaluation.image_predictions import RunPredictions
from mmseg_robust.evaluation.measures import MIOU, TOP1_ERROR, measure_of
from mmseg_robust.evaluation.page import write_page
from mmseg_robust.evaluation.record import build_record, flat_metrics
from mmseg_robust.evaluation.side_by_side import differences, figures_of, ranked, record_against
from mmseg_robust.evaluation.table import format_table

IMAGENET_C = get_protocol("imagenet-c")
#: Top-1 accuracy on the published ImageNet-C in percent, severities 1 to 5, in the order of the
#: protocol (github.com/nis-research/afa-augment, results/summaryImageNet_C_rn50baseline.csv and
#: summaryImageNet_C_baseline.csv), 50,000 images: multiples of 0.002.
RESNET_50 = (
    (59.434, 46.202, 27.6, 11.014, 2.21), (57.21, 42.094, 25.034, 7.896, 2.928),
    (48.03, 35.812, 25.148, 8.216, 1.852), (59.36, 51.972, 37.942, 26.538, 17.924),
    (54.03, 40.42, 16.858, 12.77, 9.806), (64.656, 54.244, 37.732, 21.926, 14.784),
    (52.482, 42.58, 35.24, 28.416, 22.504), (54.582, 31.934, 35.194, 24.044, 16.88),
    (61.278, 44.12, 32.108, 29.888, 23.312), (61.834, 55.884, 46.666, 40.42, 24.42),
    (74.03, 72.404, 69.616, 65.12, 58.934), (64.886, 58.408, 46.018, 20.548, 5.43),
    (66.656, 44.814, 55.618, 42.206, 16.96), (64.138, 64.078, 46.202, 28.92, 20.608),
    (66.16, 62.474, 59.284, 47.502, 31.644),
)  # fmt: skip
ALEXNET = (
    (30.474, 17.46, 6.444, 1.862, 0.548), (28.776, 14.898, 6.424, 1.816, 0.854),
    (21.624, 10.19, 5.132, 1.28, 0.452), (34.366, 26.8, 14.958, 8.632, 5.286),
    (35.69, 24.94, 11.196, 8.376, 6.654), (41.566, 29.946, 17.894, 10.25, 7.36),
    (29.986, 23.006, 19.206, 15.802, 12.804), (28.268, 11.61, 13.532, 8.13, 5.048),
    (38.61, 20.27, 11.21, 10.058, 6.568), (32.53, 23.954, 15.622, 12.738, 5.5),
    (54.852, 51.492, 45.952, 37.836, 27.558), (35.452, 23.848, 11.124, 2.242, 0.732),
    (47.4, 29.88, 44.316, 35.922, 19.446), (47.79, 45.382, 26.274, 12.91, 8.738),
    (48.998, 45.284, 42.708, 34.544, 25.224),
)  # fmt: skip
#: As its authors state them (github.com/hendrycks/robustness, README): clean error and mCE.
RESNET_50_CLEAN, RESNET_50_MCE = 23.85, 76.7


def predictions_of(clean: float, table: tuple[tuple[float, ...], ...]) -> RunPredictions:
    """Predictions for 50,000 images that have exactly these accuracies."""
    accuracies = [clean, *(accuracy for row in table for accuracy in row)]
    right = np.array([round(500 * accuracy) for accuracy in accuracies])
    np.testing.assert_allclose(right / 500, accuracies, atol=1e-9)
    predictions = (np.arange(50_000)[:, None] >= right).astype(np.int32)
    names = tuple(map(str, range(50_000)))
    confidence = np.full(predictions.shape, 0.5, np.float32)
    return RunPredictions(names, np.zeros(50_000, np.int32), predictions, confidence)


def test_resnet_50_has_its_published_mce() -> None:
    run = predictions_of(100 - RESNET_50_CLEAN, RESNET_50)
    baseline = read_baseline("alexnet", IMAGENET_C)
    record = build_record(IMAGENET_C, run, ("right", "wrong"), {}, baseline)
    summary = record["summary"]
    assert round(summary["mCE"], 1) == RESNET_50_MCE
    assert flat_metrics(record)["clean"] == RESNET_50_CLEAN
    errors = 100 - np.array(RESNET_50).mean(1)
    alexnet = 100 - np.array(list(baseline.figures.corruptions.values()))
    for entry, error in zip(record["corruptions"].values(), errors):
        assert entry["top1_error"] == pytest.approx(error)
    relative = 100 * (errors - RESNET_50_CLEAN) / (alexnet - 43.478)
    assert summary["relative_mCE"] == pytest.approx(relative.mean())
    assert summary["mean"] == pytest.approx(errors.mean())
    low, high = summary["mean_interval"]
    assert low < errors.mean() < high < low + 1, "50,000 images leave little to chance"


def test_alexnet_is_itself() -> None:
    """Measured anew by others, severity by severity, it nearly gives the constants that ship."""
    baseline = read_baseline("alexnet", IMAGENET_C)
    assert baseline.measure is TOP1_ERROR and baseline.figures.clean == pytest.approx(56.522)
    means = np.array(ALEXNET).mean(1)
    np.testing.assert_allclose(list(baseline.figures.corruptions.values()), means, atol=5e-3)


@pytest.fixture(scope="module")
def weak() -> dict[str, Any]:
    return made_up_errors(0.6, 3)


def test_a_record_states_errors(tmp_path: Path) -> None:
    baseline = read_baseline(write_classifier_run(tmp_path / "weak", 0.6, 3), PROTOCOL)
    record, run = made_up_errors(0.9, 1, baseline), random_predictions(1, accuracy=0.9)
    assert measure_of(record) is TOP1_ERROR
    scores = dict(zip(PROTOCOL.passes, run.scores()))
    assert record["clean"]["top1_error"] == pytest.approx(100 - scores[PROTOCOL.passes[0]])
    fog = (scores[Cell("fog", 2)] + scores[Cell("fog", 4)]) / 2
    assert record["corruptions"]["fog"]["top1_error"] == pytest.approx(100 - fog)
    base = 100 - baseline.figures.corruptions["fog"]
    assert record["corruptions"]["fog"]["CE"] == pytest.approx(100 * (100 - fog) / base)
    mean = run.scores()[1:].mean()
    assert record["summary"]["retention"] == pytest.approx(100 * mean / run.scores()[0])
    weak_run = random_predictions(3, accuracy=0.6)
    paired = paired_difference(PROTOCOL, run, weak_run)
    low, high = paired.mean.interval
    assert record["summary"]["difference"]["mean"] == pytest.approx(-paired.mean.value)
    assert paired.mean.value > 0
    assert record["summary"]["difference_interval"]["mean"] == [-high, -low]
    assert record["summary"]["difference_interval"]["retention"] == list(paired.retention.interval)


def test_every_interval_holds_its_figure(weak: dict[str, Any]) -> None:
    parts = [weak["clean"], *weak["cells"]]
    for part in ("corruptions", "groups", "severities"):
        parts += weak[part].values()
    for entry in parts:
        low, high = entry["top1_error_interval"]
        assert 0 <= low <= entry["top1_error"] <= high <= 100
    for name in ("clean", "mean", "retention"):
        low, high = weak["summary"][f"{name}_interval"]
        assert low <= weak["summary"][name] <= high


def test_csv_and_markdown(weak: dict[str, Any]) -> None:
    rows = list(csv.DictReader(to_csv(weak).splitlines()))
    assert len(rows) == 13
    assert float(rows[3]["top1_error"]) == weak["cells"][2]["top1_error"]
    assert float(rows[3]["top1_error_low"]) == weak["cells"][2]["top1_error_interval"][0]
    assert not any("IoU" in name for name in rows[0])
    text = to_markdown(weak, PROTOCOL)
    assert text.startswith("demo (version 1), 12 images: top-1 error  \nclean ")
    assert max(map(len, format_table(weak, PROTOCOL).splitlines())) <= 100


def test_the_page(tmp_path: Path, weak: dict[str, Any]) -> None:
    baseline = made_up_errors(0.9, 1)
    record = made_up_errors(
        0.6, 3, read_baseline(write_classifier_run(tmp_path / "strong", 0.9, 1), PROTOCOL)
    )
    worst = [
        {"name": "07", "cell": "fog/4", "label": "cat", "predicted": "dog", "confidence": 93.14}
    ]
    write_page(tmp_path / "p.html", record, baseline, worst)
    text = (tmp_path / "p.html").read_text()
    assert "fog/4, label cat, predicted dog (93.1 %)" in text and "mIoU" not in text
    assert "Clean top-1 error" in text and "images whose prediction changes" in text
    assert "corrupted accuracy over clean accuracy" in text
    error, clean = record["corruptions"]["fog"]["top1_error"], record["summary"]["clean"]
    row = text[text.index('<th scope="row">fog</th>') :]
    assert row.index(f"<td>{error:.2f}</td>") < row.index("</tr>")
    assert f"<td>{100 * (100 - error) / (100 - clean):.1f}</td>" in row[: row.index("</tr>")]


def test_runs_side_by_side(tmp_path: Path) -> None:
    given = [
        str(write_classifier_run(tmp_path / name, q, s))
        for name, q, s in (("w", 0.6, 3), ("s", 0.9, 1))
    ]
    runs = read_runs(given)
    figures = figures_of(runs[1], runs[0])
    record = runs[1].record
    assert figures["clean"].value == pytest.approx(record["summary"]["clean"])
    assert figures["clean"].interval == tuple(record["summary"]["clean_interval"])
    assert figures["fog"].value == pytest.approx(record["corruptions"]["fog"]["top1_error"])
    assert figures["[noise]"].interval == tuple(record["groups"]["noise"]["top1_error_interval"])
    found = differences(runs[1], runs[0]).figures
    for name in ("clean", "mean"):
        change = record["summary"][name] - runs[0].record["summary"][name]
        low, high = found[name].interval
        assert found[name].value == pytest.approx(change)
        assert low <= change <= high and change < 0
    assert found["retention"].value > 0
    for key in ("retention", "mean", "mCE"):
        assert [run.name for run in ranked(runs, key)] == ["s", "w"], key
    expected = made_up_errors(0.9, 1, read_baseline(given[0], PROTOCOL))
    again = record_against(runs[1], runs[0])
    assert again["summary"]["difference"] == pytest.approx(expected["summary"]["difference"])
    for name, interval in expected["summary"]["difference_interval"].items():
        assert again["summary"]["difference_interval"][name] == pytest.approx(interval)


def test_segmentors_and_classifiers_do_not_compare(tmp_path: Path, weak: dict[str, Any]) -> None:
    other = json.loads(json.dumps(weak).replace("top1_error", "mIoU").replace("NaN", "null"))
    assert measure_of(other) is MIOU
    (tmp_path / "segmentor.json").write_text(json.dumps(other))
    with pytest.raises(InputError, match=r"segmentor\.json' states mIoU, the other top-1 error"):
        read_runs(
            [str(write_classifier_run(tmp_path / "w", 0.6, 3)), str(tmp_path / "segmentor.json")]
        )
