"""Baselines that do not fit a run."""

from __future__ import annotations

import pytest
from mmengine.logging import MMLogger

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.baseline import Baseline
from mmseg_robust.evaluation.comparison import (
    check_classes,
    dataset_classes,
    warn_of_differences,
)
from mmseg_robust.evaluation.robustness_metrics import robustness

PROTOCOL = get_protocol("demo")
FIGURES = robustness(PROTOCOL, 80, dict.fromkeys(PROTOCOL.corruptions, 40.0))


def test_classes_of_a_dataset() -> None:
    assert dataset_classes({"classes": ["a", "b"]}) == ("a", "b")
    for metainfo in (None, {}, {"classes": None}):
        with pytest.raises(InputError, match="names no classes: set metainfo"):
            dataset_classes(metainfo)


def test_other_classes_are_refused_by_name() -> None:
    baseline = Baseline("other.json", FIGURES, classes=("road", "sky"))
    with pytest.raises(
        InputError, match=r"'other\.json' .* 2 \(road, sky\), .* 3 \(road, sky, car\)"
    ):
        check_classes(baseline, ("road", "sky", "car"))
    check_classes(baseline, ("sky", "road"))
    check_classes(Baseline("published.json", FIGURES), ("car",))


@pytest.mark.parametrize(
    "num_images, seed, backend, expected",
    [
        (5, 0, "engine", []),
        (6, 0, "engine", ["images 5, this run has images 6"]),
        (5, 1, "engine", ["seed 0, this run has seed 1"]),
        (6, 1, None, ["images 5", "seed 0"]),
        (5, 0, "imagecorruptions", ["backend engine, this run has backend imagecorruptions"]),
        (5, None, None, []),
    ],
)
def test_other_images_seeds_and_backends_are_told(
    num_images: int,
    seed: int | None,
    backend: str | None,
    expected: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = MMLogger("comparison", log_level="WARNING")
    baseline = Baseline("b.json", FIGURES, num_images=5, seed=0, backend="engine")
    warn_of_differences(baseline, num_images, seed, backend, logger)
    warn_of_differences(Baseline("published.json", FIGURES), num_images, seed, backend, logger)
    streams = capsys.readouterr()
    lines = [line for line in (streams.out + streams.err).splitlines() if "baseline" in line]
    assert len(lines) == len(expected)
    for line, text in zip(lines, expected):
        assert text in line and "b.json" in line
