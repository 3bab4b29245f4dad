"""The converter: what it writes is a stock checkpoint."""

from __future__ import annotations

from pathlib import Path

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
import torch
from load_tool import load_tool
from mmseg.registry import MODELS
from multi_view_runs import EVERYTHING, batch, still_cfg, train_small

TOOL = load_tool("model_converters/drop_auxiliary_norms.py")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["drop_auxiliary_norms.py", *map(str, arguments)])
    return TOOL.main()


def test_the_stock_model_loads_and_predicts_the_same(tmp_path, monkeypatch) -> None:
    runner = train_small(tmp_path, iters=2, model=still_cfg(**EVERYTHING))
    target = tmp_path / "out" / "stock.pth"
    assert run(monkeypatch, tmp_path / "iter_2.pth", target) == 0
    written = torch.load(target, weights_only=True)
    assert written.keys() == {"state_dict", "meta"}
    stock = MODELS.build(still_cfg()).eval()
    stock.load_state_dict(written["state_dict"], strict=True)
    model = runner.model.eval()
    inputs = model.data_preprocessor(batch(), False)["inputs"]
    with torch.no_grad():
        assert torch.equal(stock(inputs), model(inputs))


def test_wrong_input_is_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    stock = tmp_path / "stock.pth"
    torch.save(dict(state_dict=MODELS.build(still_cfg()).state_dict()), stock)
    for source, message in ((stock, "has no auxiliary norms"), (tmp_path / "x", "does not exist")):
        assert run(monkeypatch, source, tmp_path / "out.pth") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert message in line
    assert not (tmp_path / "out.pth").exists()
