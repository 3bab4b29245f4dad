"""Figures side by side, differences and ranking."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from made_up_runs import made_up_counts, made_up_record, write_made_up_run

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.evaluation.comparison import paired_difference
from mmseg_robust.evaluation.finished_runs import Run, read_runs
from mmseg_robust.evaluation.record_files import write_record
from mmseg_robust.evaluation.side_by_side import differences, figures_of, ranked, record_against

DEMO = get_protocol("demo")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """A weak run, a strong one on the same images, and a record alone."""
    folder = tmp_path_factory.mktemp("runs")
    paths = [write_made_up_run(folder / name, q) for name, q in (("weak", 0.6), ("strong", 0.9))]
    write_record(made_up_record(0.7), folder / "alone.json")
    return read_runs([*map(str, paths), str(folder / "alone.json")])


def test_figures_are_those_of_the_record(runs: list[Run]) -> None:
    weak, strong, _ = runs
    record, figures = strong.record, figures_of(strong, weak)
    for name in ("clean", "mean", "retention"):
        assert figures[name].value == pytest.approx(record["summary"][name])
        assert figures[name].interval == tuple(record["summary"][f"{name}_interval"])
    errors = [
        (100 - entry["mIoU"]) / (100 - weak.record["corruptions"][name]["mIoU"])
        for name, entry in record["corruptions"].items()
    ]
    assert figures["mCE"].value == pytest.approx(100 * sum(errors) / len(errors))
    assert figures_of(weak, weak)["mCE"].value == pytest.approx(100)
    assert figures["ECE"].value == record["summary"]["ECE"]
    assert figures["flip rate"].value == pytest.approx(100 * record["summary"]["flip_rate"])
    assert figures["[noise]"].value == pytest.approx(record["groups"]["noise"]["mIoU"])
    assert figures["fog"].interval == tuple(record["corruptions"]["fog"]["mIoU_interval"])


def test_figures_of_a_published_table() -> None:
    segformer, pspnet = read_runs(["segformer-b5", "pspnet"])
    figures = figures_of(pspnet, segformer)
    assert figures["mean"].value == pytest.approx(34.575) and figures["mean"].interval is None
    assert "ECE" not in figures and "flip rate" not in figures


def test_differences_are_paired_by_image(runs: list[Run]) -> None:
    weak, strong, _ = runs
    expected = paired_difference(DEMO, made_up_counts(0.9, DEMO), made_up_counts(0.6, DEMO))
    found = differences(strong, weak)
    assert found.note is None
    for name in ("clean", "mean", "retention"):
        assert found.figures[name].value == pytest.approx(getattr(expected, name).value)
        assert found.figures[name].interval == getattr(expected, name).interval
    assert found.figures["fog"].interval == expected.corruptions["fog"].interval
    assert differences(weak, strong).figures["mean"].value == -found.figures["mean"].value


def test_differences_without_counts_have_no_intervals(runs: list[Run]) -> None:
    weak, _, alone = runs
    for one, other in ((alone, weak), (weak, alone)):
        found = differences(one, other)
        change = one.scores.figures.mean - other.scores.figures.mean
        assert found.figures["mean"].value == pytest.approx(change)
        assert found.figures["mean"].interval is None
        assert found.note is not None and "alone has no counts by image" in found.note


def test_differences_on_other_images_say_why(tmp_path: Path, runs: list[Run]) -> None:
    (few,) = read_runs([str(write_made_up_run(tmp_path / "few", 0.9, images=3))])
    found = differences(few, runs[0])
    assert found.note is not None and "cannot be paired" in found.note
    assert not math.isnan(found.figures["mean"].value)


def test_ranking() -> None:
    runs = read_runs(["pspnet", "segformer-b5", "gscnn", "resnet-38"])
    names = [run.name for run in ranked(runs, "retention")]
    assert names == ["segformer-b5", "gscnn", "resnet-38", "pspnet"]  # 79.9 49.4 47.0 43.9
    assert ranked(runs, "mCE")[0].name == "segformer-b5", "less is better"
    assert ranked(runs, "mean")[-1].name == "pspnet"


def test_runs_without_a_figure_come_last(tmp_path: Path) -> None:
    record = made_up_record(0.9)
    record["corruptions"]["fog"]["mIoU"] = None
    write_record(record, tmp_path / "hole.json")
    weak = write_made_up_run(tmp_path / "weak", 0.5)
    runs = read_runs([str(weak), str(tmp_path / "hole.json")])
    for key in ("mean", "retention", "mCE"):
        assert [run.name for run in ranked(runs, key)] == ["weak", "hole"]


def test_a_record_against_another_run(runs: list[Run]) -> None:
    """It is what the test loop would have written with that baseline."""
    weak, strong, alone = runs
    expected = made_up_record(0.9, baseline=Path(weak.scores.path))
    record = record_against(strong, weak)
    assert record["baseline"] == "weak"
    assert record["notes"] == expected["notes"] == []
    for key, value in expected["summary"].items():
        if isinstance(value, dict):
            assert {k: pytest.approx(v) for k, v in record["summary"][key].items()} == value
        else:
            assert record["summary"][key] == pytest.approx(value), key
    for name, entry in expected["corruptions"].items():
        for key, value in entry.items():
            assert record["corruptions"][name][key] == pytest.approx(value), (name, key)
    assert strong.record["baseline"] is None, "the run's own record stays"
    assert "alone has no counts" in record_against(strong, alone)["notes"][0]


def test_notes_on_the_former_baseline_go(tmp_path: Path, runs: list[Run]) -> None:
    weak, _, alone = runs
    former = made_up_record(0.9, baseline=Path(alone.scores.path))
    assert len(former["notes"]) == 1, "that baseline has no counts by image"
    former["notes"].append("a note of another kind")
    write_record(former, tmp_path / "again.json")
    (again,) = read_runs([str(tmp_path / "again.json")])
    record = record_against(again, weak)
    assert record["notes"][0] == "a note of another kind" and len(record["notes"]) == 2
    assert record["notes"][1].startswith("No intervals for again minus weak: again has no counts")
    assert record["summary"]["difference_interval"] == {"mean": None, "retention": None}
