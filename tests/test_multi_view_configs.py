"""The multi-view configs are those of their methods; test_configs.py loads and builds them."""

from __future__ import annotations

from pathlib import Path

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
from mmengine.config import Config

from mmseg_robust.augmentations import build_augmentation
from mmseg_robust.errors import InputError

ROOT = Path(__file__).resolve().parents[1] / "configs"
DATA = {
    "cityscapes": "segformer/segformer_mit-b2-{}_8xb1-160k_cityscapes-1024x1024.py",
    "camvid": "camvid/segformer_mit-b0-{}_1xb8-4k_camvid-320x320.py",
}
METHODS = {
    "fma": ("CombinedAugmentations", ["FMATerm"]),
    "st": ("GaussianNoise", ["StabilityTerm"]),
    "ca": ("CombinedAugmentations", ["TaskLossTerm"]),
    "afa": ("FourierBasis", ["TaskLossTerm"]),
    "afa-cwfa": ("FourierBasis", ["TaskLossTerm"]),
    "afa-damp": ("FourierBasis", ["TaskLossTerm"]),
    "jsd": ("AugMix", ["JensenShannonTerm"]),
    "dfmx": ("DominantFrequencies", ["TaskLossTerm"]),
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("method", METHODS)
def test_views_and_terms(data: str, method: str) -> None:
    cfg = Config.fromfile(ROOT / DATA[data].format(method))
    drawn, terms = METHODS[method]
    model = cfg.model
    assert model.type == "MultiViewEncoderDecoder"
    assert {view.type for view in model.views.values()} == {drawn}
    assert [term.type for term in model.terms] == terms
    assert all(term.weight > 0 for term in model.terms)
    clean_weight = model.get("clean_weight", 1.0)
    if "TaskLossTerm" in terms:
        assert clean_weight == (0.0 if method == "dfmx" else 0.5)
        assert clean_weight + model.terms[0].weight == 1.0
    else:
        assert clean_weight == 1.0
    assert model.get("auxiliary_norm", []) == (["waves"] if "afa" in method else [])
    assert model.get("norm_statistics", "per_view") == ("joint" if method == "ca" else "per_view")
    for hook, word in (("CWFAHook", "cwfa"), ("DAMPHook", "damp")):
        assert (hook in str(cfg.get("custom_hooks"))) == (word in method)


def test_the_fma_loss_fine_tunes_a_trained_stock_checkpoint() -> None:
    name = "segformer/segformer_mit-b2-fma-ft_8xb1-16k_cityscapes-1024x1024.py"
    cfg = Config.fromfile(ROOT / name)
    stock = Config.fromfile(
        ROOT / "segformer/segformer_mit-b2-cwfa-ft_8xb1-16k_cityscapes-1024x1024.py"
    )
    assert cfg.load_from == stock.load_from
    assert cfg.model.backbone.init_cfg is None
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 16000
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(6e-5 / 10)
    assert cfg.model.terms[0].type == "FMATerm"


@pytest.mark.parametrize("data", DATA)
def test_maps_that_are_yet_to_be_made(data: str) -> None:
    cfg = Config.fromfile(ROOT / DATA[data].format("dfmx"))
    with pytest.raises(InputError, match=r"no frequency maps at .*dominant_frequencies\.py makes"):
        build_augmentation(cfg.model.views.filtered)
