"""The series script: what is finished is not repeated, what fails does not stop the rest."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from load_tool import ROOT, load_tool
from mmengine.config import Config

run_series = load_tool("results/run_series.py")


@pytest.fixture
def args(tmp_path):
    runs = [
        dict(name="plain", config="plain.py", seeds=[0, 1], splits=["test"]),
        dict(name="cwfa", config="cwfa.py", seeds=[0], splits=["test", "val"], options=dict(a=1)),
    ]
    series = tmp_path / "series.json"
    series.write_text(json.dumps(dict(protocol="demo", runs=runs)))
    return argparse.Namespace(
        series=series,
        out=tmp_path / "out",
        data="data",
        transfer_data=None,
        work_dir=tmp_path / "work",
        parallel=2,
        gpus=1,
        test_workers=0,
        cfg_options=dict(b="2"),
        only=[],
        seeds=[],
        stop_after=None,
    )


class FakeSeries(run_series.Series):
    """Stands in for the two tools: notes the calls and leaves what they leave."""

    def __init__(self, args, fail=()):
        super().__init__(args)
        self.calls = []
        self.protocols = []
        self.trained, self.resumed = [], []
        self.tested = []
        self.fail = fail

    def call(self, run, gpu, tool, arguments, options):
        self.calls.append((run.key, tool))
        if (run.key, tool) in self.fail:
            raise subprocess.CalledProcessError(1, tool)
        folder = self.args.work_dir / run.key
        folder.mkdir(parents=True, exist_ok=True)
        if tool == "train":
            assert options["randomness.seed"] == run.seed
            self.trained.append(options)
            self.resumed.append("--resume" in arguments)
            assert options["b"] == "2"
            assert options.get("a") == (1 if run.name == "cwfa" else None)
            (folder / "last_checkpoint").write_text("checkpoint.pth\n")
        else:
            assert arguments == [run.config, "checkpoint.pth"]
            self.tested.append(options)
            self.protocols.append((run.key, options["test_cfg.protocol"]))
            run_part = dict(torch="2", checkpoint=str(folder / "checkpoint.pth"))
            Path(options["test_cfg.out_file"]).write_text(json.dumps(dict(run=run_part)))


def test_trains_once_and_scores_each_split(args):
    series = FakeSeries(args)
    assert series.main() == 0
    assert sorted(path.name for path in args.out.iterdir()) == [
        "cwfa.seed0.test.json",
        "cwfa.seed0.val.json",
        "plain.seed0.test.json",
        "plain.seed1.test.json",
    ]
    assert sorted(series.calls).count(("cwfa.seed0", "train")) == 1
    record = json.loads((args.out / "cwfa.seed0.val.json").read_text())
    assert record["run"] == dict(torch="2", checkpoint="cwfa.seed0/checkpoint.pth")
    assert record["series"]["options"] == dict(a=1)
    assert record["series"]["split"] == "val"


def test_goes_on_where_it_stopped(args):
    first = FakeSeries(args, fail=[("cwfa.seed0", "test")])
    assert first.main() == 1
    second = FakeSeries(args)
    assert second.main() == 0
    assert second.calls == [("cwfa.seed0", "test"), ("cwfa.seed0", "test")], "trained already"
    third = FakeSeries(args)
    assert third.main() == 0
    assert third.calls == []


def test_all_records_are_of_one_training(args):
    """A record of weights that are gone stands beside none of other weights."""
    args.only = ["cwfa"]
    assert FakeSeries(args).main() == 0
    old = args.out / "cwfa.seed0.test.json"
    (args.out / "cwfa.seed0.val.json").unlink()
    shutil.rmtree(args.work_dir)
    old.write_text(json.dumps(dict(json.loads(old.read_text()), series=dict(train_seconds=7.0))))
    again = FakeSeries(args)
    assert again.main() == 0
    steps = [tool for _, tool in again.calls]
    assert steps == ["train", "test", "test"]
    assert json.loads(old.read_text())["series"]["train_seconds"] != 7.0
    assert (
        FakeSeries(args).pending(run_series.read_series(args.series, ["cwfa"], [], False)[0]) == []
    )


def test_records_of_two_trainings_are_made_anew(args):
    """Also where the weights of both are gone."""
    args.only = ["cwfa"]
    assert FakeSeries(args).main() == 0
    shutil.rmtree(args.work_dir)
    untouched = FakeSeries(args)
    assert untouched.main() == 0 and untouched.calls == []
    one = args.out / "cwfa.seed0.test.json"
    one.write_text(json.dumps(dict(json.loads(one.read_text()), series=dict(train_seconds=7.0))))
    again = FakeSeries(args)
    assert again.main() == 0
    assert [tool for _, tool in again.calls] == ["train", "test", "test"]


def test_a_lost_parent_is_trained_and_scored_anew(args):
    content = json.loads(args.series.read_text())
    child = dict(name="tuned", config="c.py", seeds=[0], splits=["test"])
    content["runs"].append(dict(child, **{"from": "plain"}))
    args.series.write_text(json.dumps(content))
    args.seeds, args.only, args.parallel = [0], ["plain", "tuned"], 1
    assert FakeSeries(args).main() == 0
    shutil.rmtree(args.work_dir)
    (args.out / "tuned.seed0.test.json").unlink()
    again = FakeSeries(args)
    assert again.main() == 0
    assert sorted(again.calls) == sorted(
        (key, tool) for key in ("plain.seed0", "tuned.seed0") for tool in ("train", "test")
    )


def test_what_has_begun_is_scored_after_the_time_is_up(args, monkeypatch):
    args.only, args.stop_after, args.parallel = ["plain"], 100, 1
    series = FakeSeries(args)
    call = series.call

    def late(*arguments):
        call(*arguments)
        series.deadline = -1

    monkeypatch.setattr(series, "call", late)
    assert series.main() == 0
    assert series.calls == [("plain.seed0", "train"), ("plain.seed0", "test")]


def test_further_protocols_are_scored_on_the_test_split(args):
    content = json.loads(args.series.read_text())
    args.series.write_text(json.dumps(dict(content, test_protocols=["cbar"])))
    args.only = ["cwfa"]
    series = FakeSeries(args)
    assert series.main() == 0
    assert series.protocols == [("cwfa.seed0", p) for p in ("demo", "demo", "cbar")]
    assert sorted(path.name for path in args.out.iterdir()) == [
        "cwfa.seed0.test.cbar.json",
        "cwfa.seed0.test.json",
        "cwfa.seed0.val.json",
    ]
    (args.out / "cwfa.seed0.test.cbar.json").unlink()
    again = FakeSeries(args)
    again.main()
    assert again.protocols == [("cwfa.seed0", "cbar")]


def test_runs_may_be_scored_on_other_data(args):
    content = json.loads(args.series.read_text())
    content["runs"][0][run_series.TRANSFER] = True
    args.series.write_text(json.dumps(content))
    args.seeds = [0]
    FakeSeries(args).main()
    assert not list(args.out.glob("*transfer*")), "no other data was named"
    args.transfer_data = "other"
    series = FakeSeries(args)
    assert series.main() == 0
    assert [path.name for path in args.out.glob("*transfer*")] == ["plain.seed0.transfer.json"]
    (options,) = series.tested
    assert options["test_dataloader.dataset.data_root"] == "other"
    assert options["test_dataloader.dataset.data_prefix.img_path"] == "images/val"


def test_a_run_may_start_from_another_one(args):
    content = json.loads(args.series.read_text())
    tuned = dict(name="tuned", config="t.py", seeds=[0, 1], splits=["test"])
    tuned["from"] = "plain"
    args.series.write_text(json.dumps(dict(content, runs=[tuned, *content["runs"]])))
    args.only = ["tuned"]
    series = FakeSeries(args)
    assert series.main() == 0
    parents = [options["load_from"] for options in series.trained if "load_from" in options]
    assert parents == ["checkpoint.pth", "checkpoint.pth"]
    # --resume with load_from would go on at the end of the other run: nothing would be trained.
    assert series.resumed == ["load_from" not in options for options in series.trained]
    for seed in (0, 1):
        own = [tool for key, tool in series.calls if key == f"tuned.seed{seed}"]
        assert own == ["train", "test"]
        assert series.calls.index((f"plain.seed{seed}", "train")) < series.calls.index(
            (f"tuned.seed{seed}", "train")
        )
    assert json.loads((args.out / "tuned.seed1.test.json").read_text())["series"]["start"] == (
        "plain.seed1"
    )
    args.only = ["tuned", "plain"]  # both slots want the plain one, which is trained already
    again = FakeSeries(args)
    assert again.main() == 0
    assert sorted(again.calls) == [("plain.seed0", "test"), ("plain.seed1", "test")]
    tuned["from"] = "plane"
    args.series.write_text(json.dumps(dict(content, runs=[tuned, *content["runs"]])))
    with pytest.raises(SystemExit, match="starts from plane, which is no run of it; it has: tuned"):
        FakeSeries(args).main()


def test_a_run_from_another_one_resumes_its_own(args):
    content = json.loads(args.series.read_text())
    tuned = dict(name="tuned", config="t.py", seeds=[0], splits=["test"])
    content["runs"].append(dict(tuned, **{"from": "plain"}))
    args.series.write_text(json.dumps(content))
    args.only = ["tuned"]
    (args.work_dir / "tuned.seed0").mkdir(parents=True)
    (args.work_dir / "tuned.seed0" / "last_checkpoint").write_text("half.pth\n")
    series = FakeSeries(args)
    assert series.main() == 0
    assert series.resumed == [True]
    assert "load_from" not in series.trained[0]


def test_selects_by_name_and_seed(args):
    args.only, args.seeds = ["plain"], [1]
    series = FakeSeries(args)
    series.main()
    assert series.calls == [("plain.seed1", "train"), ("plain.seed1", "test")]


def test_unknown_name(args):
    args.only = ["plan"]
    with pytest.raises(SystemExit, match=r"error: .* has no run plan; it has: plain, cwfa"):
        FakeSeries(args).main()


def test_the_shipped_series_is_valid():
    path = ROOT / "docs" / "results" / "camvid" / "series.json"
    for run in run_series.read_series(path, [], [], True):
        cfg = Config.fromfile(ROOT / run.config)
        for key in run.options:
            part = cfg
            for name in key.split(".")[:-1]:
                part = part[int(name) if isinstance(part, list) else name]
            assert isinstance(part, (dict, list)), f"{run.name} has no {key}"


def test_starts_nothing_after_the_time_is_up(args, monkeypatch, capsys):
    args.stop_after = -1
    series = run_series.Series(args)
    assert series.main() == 0
    assert "0 runs done, 0 failed, 3 left for the next call" in capsys.readouterr().out
    assert list(args.out.iterdir()) == []


def test_a_killed_script_takes_its_tools_with_it(args, tmp_path):
    """Left alone, they would go on using the card."""
    args.out.mkdir()
    tools = tmp_path / "root" / "tools"
    tools.mkdir(parents=True)
    (tools / "train.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    script = tools / "run_series.py"
    text = (ROOT / "tools/results/run_series.py").read_text()
    script.write_text(text.replace(".parents[2]", ".parents[1]"))
    command = [sys.executable, script, args.series, "--out", args.out, "--data", "d"]
    process = subprocess.Popen([*command, "--work-dir", args.work_dir, "--only", "cwfa"])
    log = args.work_dir / "cwfa.seed0" / "train.out"
    for _ in range(200):
        if log.exists() and "up" in log.read_text():
            break
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=10) == 1
    found = subprocess.run(["pgrep", "-f", str(args.work_dir)], capture_output=True, text=True)
    assert found.stdout == ""
