"""The stock checkpoint of a sparse training, and the sparsity that is reported."""

import subprocess
import sys

import pytest
import torch
from load_tool import load_tool
from mmseg.registry import MODELS
from small_models import same, segformer_cfg, train

import mmseg_robust  # noqa: F401

tool = load_tool("model_converters/export_sparse.py")
SPARSE = dict(type="DynamicSparseTrainingHook", sparsity=0.5, interval=1, init="random")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Checkpoints: sparse, sparse with EMA, stock."""
    folder = tmp_path_factory.mktemp("runs")
    ema = dict(type="EMAHook", momentum=0.2)
    for name, hooks in (("sparse", [SPARSE]), ("ema", [SPARSE, ema]), ("stock", [])):
        train(folder / name, iters=4, custom_hooks=hooks)
    return {name: folder / name / "iter_4.pth" for name in ("sparse", "ema", "stock")}


def test_a_stock_checkpoint_with_the_true_sparsity(runs, tmp_path, capsys):
    target = tmp_path / "new" / "out.pth"
    assert tool.main([str(runs["sparse"]), str(target)]) == 0
    printed = capsys.readouterr().out
    stored, written = torch.load(runs["sparse"]), torch.load(target)
    assert written.keys() == {"meta", "state_dict"}
    assert same(written["state_dict"], stored["state_dict"])
    assert written["meta"]["dataset_meta"]["classes"] == ("a", "b", "c", "d")
    model = MODELS.build(segformer_cfg())
    model.load_state_dict(written["state_dict"], strict=True)
    layers = stored["sparse_training"]["layers"]
    weights = dict(model.named_parameters())
    size = sum(weights[name].numel() for name in layers)
    active = sum(int(weights[name].count_nonzero()) for name in layers)
    assert f"all 33 layers {size:,} {active:,} {active / size:.4f}" in " ".join(printed.split())
    everything = sum(p.numel() for p in weights.values())
    zeros = sum(int((p == 0).sum()) for p in weights.values())
    assert f"{zeros:,} of {everything:,} parameters are 0, sparsity {zeros / everything:.4f}" in (
        printed
    )
    assert "asked for: sparsity 0.5 by rigl, after 4 updates" in printed
    assert "outside" not in printed


def test_plain_torch_reads_it_without_trusting_it(runs, tmp_path):
    target = tmp_path / "out.pth"
    tool.export(runs["sparse"], target)
    code = f"import torch; torch.load({str(target)!r}, weights_only=True)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert target.stat().st_size < runs["sparse"].stat().st_size / 2


def test_averages_or_the_last_weights(runs, tmp_path):
    stored = torch.load(runs["ema"])
    for last in (False, True):
        tool.export(runs["ema"], tmp_path / "out.pth", last)
        written = torch.load(tmp_path / "out.pth")["state_dict"]
        expected = stored["state_dict"]
        if last:
            expected = {
                key[7:]: value
                for key, value in stored["ema_state_dict"].items()
                if key.startswith("module.")
            }
        assert same(written, expected)
        for name, mask in stored["sparse_training"]["masks"].items():
            assert not written[name][~mask].count_nonzero()


def test_weights_outside_the_masks_are_made_0_and_told(runs, tmp_path):
    checkpoint = torch.load(runs["sparse"])
    name, mask = next(iter(checkpoint["sparse_training"]["masks"].items()))
    checkpoint["state_dict"][name][~mask] = 1.0
    torch.save(checkpoint, tmp_path / "dense.pth")
    printed = tool.export(tmp_path / "dense.pth", tmp_path / "out.pth")
    assert f"{int((~mask).sum()):,} weights outside the masks were not 0" in printed
    assert not torch.load(tmp_path / "out.pth")["state_dict"][name][~mask].count_nonzero()


def test_wrong_input_is_one_line(runs, tmp_path, capsys):
    text = tmp_path / "text.pth"
    text.write_text("no checkpoint")
    torch.save([1], tmp_path / "list.pth")
    out = str(tmp_path / "out.pth")
    for arguments, message in (
        ([str(runs["stock"]), out], "holds no masks"),
        ([str(runs["sparse"]), out, "--last"], "holds no averages"),
        ([str(tmp_path / "none.pth"), out], "cannot be read"),
        ([str(text), out], "cannot be read"),
        ([str(tmp_path / "list.pth"), out], "has no state_dict"),
        ([str(runs["sparse"]), str(runs["sparse"])], "is the checkpoint itself"),
    ):
        assert tool.main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error
    assert not (tmp_path / "out.pth").exists()
