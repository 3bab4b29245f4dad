"""The results table against numbers worked out by hand."""

import json

import pytest
from load_tool import ROOT, load_tool

from mmseg_robust.corruptions.protocols import get_protocol
from mmseg_robust.evaluation.robustness_metrics import robustness

make_table = load_tool("results/make_table.py")
DEMO = get_protocol("demo")


def scores(clean, corrupted):
    return robustness(DEMO, clean, dict.fromkeys(DEMO.corruptions, corrupted))


def test_means_spread_gain_and_mce():
    runs = {
        "plain": {0: scores(50.0, 20.0), 1: scores(52.0, 24.0)},
        "cwfa": {0: scores(50.0, 30.0), 1: scores(50.0, 28.0), 2: scores(50.0, 29.0)},
    }
    further = {"cbar": {"cwfa": {0: 20.0, 2: 22.0}}}
    cost = {"step time": {"cwfa": {0: 1.026}}}
    text = make_table.table(runs, further, cost)
    lines = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.split("\n")]
    head, plain, cwfa = lines[0], lines[2], lines[3]
    by_name = dict(zip(head, cwfa))
    assert plain[head.index("clean")] == "51.0 ± 1.4"
    assert plain[head.index("mCE")] == "100.0 ± 0.0"
    assert by_name["seeds"] == "3"
    assert by_name["corrupted"] == "29.0 ± 1.0"
    assert by_name["retention %"] == "58.0 ± 2.0"
    # (100-30)/(100-20) = 87.5 and (100-28)/(100-24) = 94.7; seed 2 has no baseline.
    assert by_name["mCE"] == "91.1 ± 5.1"
    assert by_name["gain by seed"] == "+10.0, +4.0"
    assert by_name["clean by seed"] == "+0.0, -2.0"
    assert by_name["step time"] == "1.03" and plain[head.index("step time")] == ""
    assert plain[head.index("gain by seed")] == plain[head.index("clean by seed")] == ""
    assert by_name["cbar"] == "21.0 ± 1.4"
    assert plain[head.index("cbar")] == ""


def test_further_columns_come_from_the_records_there_are(tmp_path):
    run = dict(name="a", seeds=[0, 1])
    series = dict(protocol="demo", test_protocols=["cbar"], runs=[run])
    for name, summary in {
        "a.seed0.test": dict(ECE=0.25, flip_rate=None),
        "a.seed1.test": dict(ECE=0.5),
        "a.seed1.test.cbar": dict(mean=30.0),
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(dict(summary=summary)))
    assert make_table.further_columns(series, tmp_path, "test") == {
        "ECE %": {"a": {0: 25.0, 1: 50.0}},
        "cbar": {"a": {1: 30.0}},
    }


def test_runs_of_another_baseline_have_a_table_of_their_own():
    series = dict(
        runs=[
            dict(name="plain"), dict(name="small-cwfa", baseline="small"), dict(name="cwfa"),
            dict(name="small"), dict(name="not run"),
        ]
    )  # fmt: skip
    runs = {name: {0: scores(50.0, 20.0)} for name in ("plain", "small", "small-cwfa", "cwfa")}
    groups = make_table.by_baseline(series, runs)
    assert {first: list(own) for first, own in groups.items()} == {
        "plain": ["plain", "cwfa"],
        "small": ["small", "small-cwfa"],
    }
    columns = {"step time": {"cwfa": {0: 2.0}}, "memory": {"small": {0: 1.0}}}
    assert make_table.of_these(columns, groups["plain"]) == {"step time": {"cwfa": {0: 2.0}}}


def test_draws_a_chart(tmp_path):
    runs = {"plain": {0: scores(50.0, 20.0)}, "cwfa": {0: scores(50.0, 30.0)}}
    make_table.plot(runs, ["plain", "cwfa"], tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 5000


def test_draws_the_trade_off(tmp_path):
    runs = {
        "plain": {0: scores(50.0, 20.0), 1: scores(51.0, 22.0)},
        "cwfa": {0: scores(49.0, 30.0)},
    }
    make_table.plot_trade_off(runs, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 5000


def test_cost_columns():
    """Runs that were not timed, and timed ones that have no record, have no place in the table."""
    rows: dict = {
        name: dict(ratio_by_round=r, ratio_of_peaks=2 * r) for name, r in [("a", 1), ("b", 3)]
    }
    rows["a"]["ratio_of_device"] = 1.5
    rows["d"] = dict(error="OutOfMemoryError: 1 GiB")
    rows["b"]["ratio_of_device"] = 4.5
    assert make_table.cost_columns(rows, ["a", "b", "c", "d"]) == {
        "step time": {"a": {0: 1}, "b": {0: 3}},
        "device time": {"a": {0: 1}, "b": {0: 3}},
        "memory": {"a": {0: 1}, "b": {0: 3}},
    }
    assert make_table.cost_columns(rows, ["b"])["memory"] == {"b": {0: 1}}
    assert make_table.cost_columns(rows, ["c", "a"]) == {}, "over another run"


def test_no_records(tmp_path, monkeypatch, capsys):
    series = tmp_path / "series.json"
    series.write_text(json.dumps(dict(protocol="demo", runs=[dict(name="a", seeds=[0])])))
    monkeypatch.setattr("sys.argv", ["make_table.py", str(series), str(tmp_path)])
    assert make_table.main() == 2
    assert "error: no records of split 'test'" in capsys.readouterr().err


def test_runs_without_records(tmp_path, monkeypatch, capsys):
    """A chart of them is refused, and a baseline that is no run; a baseline without any is said."""
    results = ROOT / "docs/results/camvid"
    record = (results / "runs/asam.seed0.test.json").read_text()
    (tmp_path / "asam.seed0.test.json").write_text(record)
    runs = [dict(name="plain", seeds=[0]), dict(name="asam", seeds=[0])]
    series = tmp_path / "series.json"

    def main(*options, **entry):
        content = dict(protocol="cityscapes-c", runs=[*runs, dict(name="last", seeds=[0], **entry)])
        series.write_text(json.dumps(content))
        monkeypatch.setattr("sys.argv", ["make_table.py", str(series), str(tmp_path), *options])
        return make_table.main(), capsys.readouterr().err

    status, said = main("--plot-runs", "nobody")
    assert (status, said) == (2, "error: no records of nobody to plot; there are: asam\n")
    status, said = main()
    assert status == 0
    assert "note: plain has no record of split 'test'; mCE and differences are to asam" in said
    runs[0:1] = [dict(name="plain", seeds=[0], baseline="plain"), dict(name="other", seeds=[0])]
    runs[2]["baseline"] = "other"
    status, said = main("--trade-off", str(tmp_path / "chart.png"))
    assert (status, said) == (2, "error: no records of plain and the runs beside it to draw\n")
    status, said = main(baseline="palin")
    assert status == 2
    assert "the baseline palin is no run of the series; it has: plain, other, asam, last" in said


@pytest.mark.parametrize(("values", "text"), [([1.25], "1.2"), ([1.0, 3.0], "2.0 ± 1.4")])
def test_spread(values, text):
    assert make_table.spread(values) == text
