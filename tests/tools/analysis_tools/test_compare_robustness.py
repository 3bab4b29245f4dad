"""The comparison on the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from load_tool import ROOT, load_tool
from made_up_predictions import write_classifier_run
from made_up_runs import write_made_up_run
from PIL import Image

from mmseg_robust.evaluation.record_files import read_record

tool = load_tool("analysis_tools/compare_robustness.py")
CAMVID = sorted((ROOT / "tests/evaluation/data").glob("version_1_*.json"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("runs")
    write_made_up_run(folder / "weak" / "20260101_000000", 0.6)
    write_made_up_run(folder / "strong" / "20260101_000000", 0.9)
    return [str(folder / "weak"), str(folder / "strong")]


def line_of(text: str, name: str, number: int = 0) -> list[str]:
    """Cells of the table line with this name; the number tells which, if there are several."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {name} ")]
    return [cell.strip() for cell in lines[number].strip("|").split("|")][1:]


def test_tables(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "new" / "c.md", tmp_path / "c.csv"]
    assert tool.main([*runs, "--out", *map(str, files)]) == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    summaries = [read_record(next(Path(run).glob("*/*.json")))["summary"] for run in runs]
    for text in (streams.out, files[0].read_text()):
        assert line_of(text, "figure") == ["weak", "strong"]
        for name, title in (("mean", "mean"), ("retention", "retention %")):
            low, high = summaries[1][f"{name}_interval"]
            expected = f"{summaries[1][name]:.2f} [{low:.1f}, {high:.1f}]"
            assert line_of(text, title)[1] == expected
        assert line_of(text, "mCE")[0] == "100.00"
        assert line_of(text, "ECE")[0] == f"{summaries[0]['ECE']:.3f}"
        change = line_of(text, "mean", 1)[0]
        assert change.startswith(f"{summaries[1]['mean'] - summaries[0]['mean']:+.2f} [+")
    rows = {(row["run"], row["figure"]): row for row in csv.DictReader(files[1].open())}
    row = rows["strong", "mean"]
    assert float(row["value"]) == pytest.approx(summaries[1]["mean"])
    assert float(row["high"]) == pytest.approx(summaries[1]["mean_interval"][1])
    assert float(row["diff_low"]) < float(row["difference"]) < float(row["diff_high"])
    assert rows["weak", "mean"]["difference"] == ""
    assert {figure for run, figure in rows if run == "weak"} >= {"[noise]", "fog", "flip rate"}


def test_classifiers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(tmp_path / "weak"), str(tmp_path / "strong")]
    records = [
        read_record(write_classifier_run(Path(r), q, s))
        for r, q, s in zip(runs, (0.6, 0.9), (3, 1))
    ]
    assert (
        tool.main([*runs, "--plot", str(tmp_path / "c.png"), "--page", str(tmp_path / "p.html")])
        == 0
    )
    text = capsys.readouterr().out
    assert "Top-1 error in percent; mCE relative to weak" in text
    summary = records[1]["summary"]
    low, high = summary["mean_interval"]
    assert line_of(text, "mean")[1] == f"{summary['mean']:.2f} [{low:.1f}, {high:.1f}]"
    change = summary["mean"] - records[0]["summary"]["mean"]
    assert change < 0 and line_of(text, "mean", 1)[0].startswith(f"{change:+.2f} [-")
    assert "Clean top-1 error" in (tmp_path / "p.html").read_text()
    assert tool.main([*runs, "--leaderboard", "mean"]) == 0
    ranking = capsys.readouterr().out
    assert "top-1 error in percent" in ranking
    assert line_of(ranking, "1")[0] == "strong", "less is better"


def test_one_run_is_shown_alone(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main([runs[0]]) == 0
    streams = capsys.readouterr()
    assert "Difference" not in streams.out and streams.err == ""


def test_real_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main([*map(str, CAMVID), "--plot", str(tmp_path / "c.png")]) == 0
    streams = capsys.readouterr()
    assert line_of(streams.out, "retention %")[:2] == ["74.23", "60.89"]
    assert streams.err.count("warning: No intervals") == len(CAMVID) - 1
    with Image.open(tmp_path / "c.png") as image:
        assert image.width > image.height > 300


def test_leaderboard(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = str(tmp_path / "board.md")
    runs = ["pspnet", "segformer-b5", "resnet-38"]
    assert tool.main([*runs, "--leaderboard", "retention", "--out", out]) == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    text = (tmp_path / "board.md").read_text()
    assert "Ranked by retention: cityscapes-c version 1; mCE relative to pspnet" in text
    assert line_of(text, "1")[:4] == ["segformer-b5", "82.40", "65.81", "79.87"]
    assert [line_of(streams.out, str(place))[0] for place in (1, 2, 3)] == [
        "segformer-b5", "resnet-38", "pspnet",
    ]  # fmt: skip


def test_page_shows_the_first_against_the_second(runs: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert tool.main([runs[1], runs[0], "--page", str(page)]) == 0
    text = page.read_text()
    assert "against the baseline" in text and "<dt>mCE</dt>" in text
    assert "<dt>baseline</dt><dd>weak</dd>" in text


def test_svg_plot_and_names(runs: list[str], tmp_path: Path) -> None:
    plot = tmp_path / "c.svg"
    assert tool.main([*runs, "--names", "plain", "mine|yours", "--plot", str(plot)]) == 0
    assert plot.read_text().count("<svg") == 1


def test_bars_in_names_do_not_break_markdown(runs: list[str], tmp_path: Path) -> None:
    out = tmp_path / "c.md"
    assert tool.main([*runs, "--names", "plain", "mine|yours", "--out", str(out)]) == 0
    assert "| figure | plain | mine\\|yours |" in out.read_text()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["pspnet", "nowhere"], "'nowhere' is neither a file nor a published baseline"),
        (["pspnet", str(CAMVID[0])], "their classes differ"),
        (["pspnet", "alexnet"], "their protocols differ: pspnet has cityscapes-c version 1, "),
        (["pspnet", "--page", "{folder}/p.html"], "--page shows the first run against the second"),
        (["pspnet", "--out", "{folder}/c.txt"], "--out takes .md or .csv files"),
        (["pspnet", "--plot", "{folder}/c.xyz"], "Cannot write"),
        (["pspnet", "--out", "{folder}/file/c.md"], "Cannot write"),
        (["pspnet", "gscnn", "--names", "a"], "Give 2 different names, one a run"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    given = [argument.format(folder=tmp_path) for argument in arguments]
    assert tool.main(given) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert error[0].startswith("error: ") and message in error[0]
