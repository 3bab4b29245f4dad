"""The demo from end to end on a handful of scenes and two training steps."""

import json
import signal
import subprocess
from types import SimpleNamespace

import pytest
from load_tool import ROOT, load_tool
from small_runs import ForkedScript

from mmseg_robust.corruptions.protocols import get_protocol
from mmseg_robust.evaluation.robustness_metrics import robustness

demo = load_tool("demo.py")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Configs of two steps over the shipped ones, and few scenes."""
    configs = {}
    for name, path in demo.CONFIGS.items():
        child = tmp_path / f"{name}.py"
        child.write_text(
            f"_base_ = ['{ROOT / path}']\n"
            "train_cfg = dict(max_iters=2)\ntrain_dataloader = dict(batch_size=1)\n"
            "default_hooks = dict(checkpoint=dict(interval=1))\n"
            # Not that of an earlier run in this process, which the tools are copies of.
            f"visualizer = dict(name='{child}')\n"
        )
        configs[name] = str(child)
    monkeypatch.setattr(demo, "CONFIGS", configs)
    monkeypatch.setattr(demo, "SCENES", dict(train=2, val=2))
    monkeypatch.setattr(demo, "SHOWN_SCENE", 1)
    monkeypatch.setattr("sys.argv", ["demo.py", "--work-dir", str(tmp_path / "work")])
    # The scenes are drawn by a new interpreter, with the same variables as the tools get.
    monkeypatch.setattr(demo, "subprocess", SimpleNamespace(Popen=ForkedScript, run=subprocess.run))
    return tmp_path / "work"


@pytest.mark.long
def test_whole_demo_and_again(tiny, capsys):
    assert demo.main() == 0
    first = capsys.readouterr().out
    assert f"Look at\n  {tiny / 'comparison.png'}" in first
    assert "in this run" in first
    for name in ("plain", "CWFA"):
        record = json.loads((tiny / f"{name}.json").read_text())
        assert record["protocol"]["name"] == "demo"
        assert record["num_images"] == 2
    assert (tiny / "comparison.png").stat().st_size > 20_000
    lines = (tiny / "robustness_table.md").read_text().splitlines()
    assert lines[0] == "|  | plain | CWFA |"
    assert len(lines) == 2 + 1 + 6 + 3
    assert lines[-1].startswith("| mCE (plain = 100) | 100.0 |")

    written = (tiny / "plain.json").stat().st_mtime_ns
    assert demo.main() == 0
    again = capsys.readouterr().out
    assert again.count("done already") == 2
    assert (tiny / "plain.json").stat().st_mtime_ns == written


def test_says_so_when_cwfa_does_not_help(tmp_path, monkeypatch, capsys):
    protocol = get_protocol("demo")
    scores = dict(plain=30.0, CWFA=28.5)
    monkeypatch.setattr(demo, "draw_comparison", lambda *args: None)

    class Record:
        def __init__(self, value):
            self.figures = robustness(protocol, 50.0, dict.fromkeys(protocol.corruptions, value))

    monkeypatch.setattr(demo, "read_baseline", lambda path, _: Record(scores[path.stem]))
    demo.show(tmp_path)
    assert "CWFA did not help in this run: corrupted mIoU is 1.5 points lower." in (
        capsys.readouterr().out
    )


def test_a_failure_ends_both_and_shows_the_end_of_its_log(tmp_path, monkeypatch):
    children = {}

    def start(work, name, tool, arguments):
        (work / f"{name}.{tool}.log").write_text(f"why {name} failed\n")
        command = ["false"] if name == "plain" else ["sleep", "60"]
        children[name] = subprocess.Popen(command)
        return children[name]

    monkeypatch.setattr(demo, "start", start)
    with pytest.raises(SystemExit) as stop:
        demo.run_side_by_side(tmp_path, "train", dict(CWFA=[], plain=[]))
    assert str(stop.value).startswith("why plain failed\nerror: train of plain failed; all of it")
    assert children["CWFA"].wait() == -signal.SIGTERM


def test_progress_lines(tmp_path):
    log = tmp_path / "log"
    log.write_text("nothing yet\n")
    assert demo.last_progress(log) == "starting"
    log.write_text(
        "INFO - Iter(train) [ 60/400]  lr: 1e-3  time: 0.5  loss: 1.2345  decode.loss_ce: 1.2\n"
    )
    assert demo.last_progress(log) == "60/400 loss 1.2345"
    log.write_text("INFO - Iter(test) [10/33]    eta: 0:00:10  time: 0.5\n")
    assert demo.last_progress(log) == "10/33"
