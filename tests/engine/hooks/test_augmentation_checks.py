"""Frequency maps of other classes end a training before it starts."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
from mmengine.config import ConfigDict
from mmengine.runner import Runner
from small_maps import made, random_maps
from small_runs import CLASSES, run_cfg, write_images

from mmseg_robust.engine.hooks import PreflightHook
from mmseg_robust.errors import InputError

NAMES = (f"augmentation-checks-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_images(root, 4)
    return root


def with_view(cfg: dict[str, Any], maps: str) -> None:
    view = dict(type="DominantFrequencies", maps=maps, prob=1.0)
    term = dict(type="TaskLossTerm", weight=1.0, view="filtered")
    cfg["model"].update(
        type="MultiViewEncoderDecoder", views=dict(filtered=view), terms=[term], clean_weight=0.0
    )


def with_transform(cfg: dict[str, Any], maps: str) -> None:
    dataset = cfg["train_dataloader"]["dataset"]
    step = dict(type="KeepDominantFrequencies", maps=maps, prob=1.0)
    dataset["pipeline"].insert(-1, dict(type="RandomApply", prob=1.0, transforms=[step]))
    cfg["train_dataloader"]["dataset"] = dict(type="RepeatDataset", times=2, dataset=dataset)


def train(data: Path, folder: Path, classes: tuple[str, ...], add: Any) -> None:
    """Two iterations with maps for some classes."""
    made(random_maps(len(classes), 16, 16), classes=classes).save(folder / "maps.npz")
    cfg = run_cfg(data, iters=2, work_dir=str(folder), experiment_name=next(NAMES))
    cfg.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg.update(test_cfg=None, test_dataloader=None, test_evaluator=None)
    cfg["model"]["decode_head"]["norm_cfg"] = dict(type="BN")
    add(cfg, str(folder / "maps.npz"))
    Runner(**ConfigDict(cfg, custom_hooks=[PreflightHook()])).train()


@pytest.mark.parametrize("add", [with_view, with_transform])
def test_class_names_are_those_of_the_data(data: Path, tmp_path: Path, add: Any) -> None:
    train(data, tmp_path, CLASSES, add)
    with pytest.raises(InputError, match="Class 1 of the frequency maps is 'c', here it is 'b'"):
        train(data, tmp_path, ("a", "c", "b", "d"), add)


def test_too_few_classes_in_a_pipeline(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="those of 3 classes, here are 4"):
        train(data, tmp_path, CLASSES[:3], with_transform)
