"""Models tested for their heat maps: small ones, against plain loops over single images."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from colour_runs import CLASSES, build, config, write_scenes
from mmengine.runner import Runner
from mmseg.registry import MODELS
from small_runs import fork_ranks
from torch import Tensor, nn

from mmseg_robust.analysis.fourier_heat_map import HeatMap, read_maps, write_maps
from mmseg_robust.analysis.fourier_heat_map_loop import FourierHeatMapLoop, spread
from mmseg_robust.corruptions import corrupt, image_seed
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.result_store import ResultStore

COUNT = 4
SENSITIVE = (0.25, -0.25)
"""Cycles a pixel, down and across, of which the small segmentor takes notice."""


@MODELS.register_module()
class TunedBackbone(nn.Module):
    """Gives the image, reddened where a channel holds much of one frequency."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        rows, columns = (torch.arange(side) for side in image.shape[2:])
        angle = SENSITIVE[0] * rows[:, None] + SENSITIVE[1] * columns
        wave = torch.polar(torch.ones(()), 2 * math.pi * angle)
        share = (image * wave).mean((2, 3)).abs().amax(1)
        red = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
        # The noise has 0.07 / sqrt(2), about 0.05, at its own frequency; scenes have little.
        return (image + 60 * (share - 0.03).clamp(min=0)[:, None, None, None] * red,)


PLAIN = [
    dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs"),
]  # fmt: skip


def loop(**changes: Any) -> dict[str, Any]:
    return dict(
        type="FourierHeatMapLoop", name="tuned", size=5, greatest=0.5, strength=0.07,
        cells_per_batch=4, _delete_=True, **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), COUNT)


def tuned(scenes: Path, work_dir: Path, cfg: dict | None = None, **changes: Any) -> Runner:
    changes = {"test_dataloader.dataset.pipeline": PLAIN, **changes}
    changes["model.backbone"] = dict(type="TunedBackbone")
    return build(config(scenes, work_dir, test_cfg=cfg or loop(), **changes))


def run_of(runner: Runner) -> HeatMap:
    runner.test()
    assert isinstance(runner.test_loop, FourierHeatMapLoop)
    made = runner.test_loop.heat_map
    assert made is not None
    return made


@pytest.fixture(scope="module")
def measured(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> HeatMap:
    return run_of(tuned(scenes, tmp_path_factory.mktemp("measured")))


def test_a_model_shows_the_frequency_that_it_is_sensitive_to(measured: HeatMap) -> None:
    values = measured.grid.frequencies
    at = values.index(SENSITIVE[0]), values.index(SENSITIVE[1])
    assert measured.worst[1:] == SENSITIVE
    others = np.ones_like(measured.error, bool)
    others[at] = others[at[1], at[0]] = False  # and its mirror, which here is its transpose
    assert measured.error[at] > measured.error[others].max() + 20
    assert np.abs(measured.error[others] - measured.clean).max() < 10
    assert (measured.num_images, measured.classes) == (COUNT, CLASSES)
    assert measured.run["seed"] == 0 and measured.run["pixels"] == "device"


def test_counts_equal_those_of_single_images(
    scenes: Path, tmp_path: Path, measured: HeatMap
) -> None:
    runner = tuned(scenes, tmp_path)
    cells = measured.grid.protocol().cells
    dataset = runner.test_loop.cells.dataset.dataset
    areas = np.zeros((len(cells), 3, len(CLASSES)))
    for item in dataset:
        label = item["data_samples"].gt_sem_seg.data[0].numpy()
        path = item["data_samples"].img_path
        rgb = item["inputs"].flip(0)[None]
        for place, cell in enumerate(cells):
            noisy = corrupt(rgb, cell.corruption, 1, [image_seed(0, path)])[0].flip(0)
            data = dict(inputs=[noisy], data_samples=[item["data_samples"].clone()])
            predicted = runner.model.test_step(data)[0].pred_sem_seg.data[0].numpy()
            for index in range(len(CLASSES)):
                mine, theirs = predicted[label != 255] == index, label[label != 255] == index
                areas[place, :, index] += (mine & theirs).sum(), mine.sum(), theirs.sum()
    iou = areas[:, 0] / (areas[:, 1] + areas[:, 2] - areas[:, 0])
    expected = measured.grid.mirrored(100 - 100 * iou.mean(1))
    np.testing.assert_allclose(measured.error, expected, rtol=1e-12)


def test_the_host_and_other_batches_give_the_same(
    scenes: Path, tmp_path: Path, measured: HeatMap
) -> None:
    cfg = dict(loop(), cells_per_batch=13)
    padded = [*PLAIN[:1], dict(type="Pad", size_divisor=16), *PLAIN[1:]]  # which changes nothing
    made = run_of(tuned(scenes, tmp_path, cfg, **{"test_dataloader.dataset.pipeline": padded}))
    assert made.run["pixels"] == "host"
    np.testing.assert_array_equal(made.error, measured.error)
    np.testing.assert_array_equal(made.low, measured.low)


def test_a_killed_run_goes_on(
    scenes: Path, tmp_path: Path, measured: HeatMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = ResultStore.write

    def write_two(self: ResultStore, index: int, image: Any) -> None:
        write(self, index, image)
        written.append(index)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(ResultStore, "write", write_two)
    with pytest.raises(KeyboardInterrupt):
        tuned(scenes, tmp_path).test()
    made = run_of(tuned(scenes, tmp_path))
    assert written == [0, 1, 2, 3]
    np.testing.assert_array_equal(made.error, measured.error)


def heat_map_of_rank(scenes: Path, work_dir: Path) -> None:
    runner = tuned(scenes, work_dir, launcher="pytorch")
    runner.test()
    if runner.rank == 0:
        write_maps([runner.test_loop.heat_map], work_dir / "maps.json")
    else:
        assert runner.test_loop.heat_map is None


def test_two_ranks_give_the_map_of_one(scenes: Path, tmp_path: Path, measured: HeatMap) -> None:
    ranks = fork_ranks(heat_map_of_rank, scenes, tmp_path)
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    found = read_maps(tmp_path / "maps.json")[0]
    np.testing.assert_array_equal(found.error, measured.error)
    assert found.images == measured.images


def test_some_of_the_images(scenes: Path, tmp_path: Path, measured: HeatMap) -> None:
    assert spread(10, 3) == [0, 3, 6] and spread(3, 10) == [0, 1, 2]
    runner = tuned(scenes, tmp_path, dict(loop(images=2), size=3))
    made = run_of(runner)
    assert made.num_images == 2 and made.images != measured.images
    paths = runner.test_loop.cells.dataset.paths()
    assert [Path(path).name for path in paths] == ["0.png", "2.png"]
    with pytest.raises(InputError, match="number of images must be an integer from 1, got 0"):
        tuned(scenes, tmp_path, loop(images=0)).test()
    one = dict(config(scenes, tmp_path).test_dataloader.dataset, pipeline=PLAIN)
    both = dict(type="ConcatDataset", datasets=[one, one], _delete_=True)
    runner = tuned(scenes, tmp_path, loop(images=3), **{"test_dataloader.dataset": both})
    with pytest.raises(InputError, match="cannot be chosen from a ConcatDataset"):
        runner.test()


def test_a_grid_too_fine_for_the_images(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="side of 64 pixels has no room for a cycle"):
        tuned(scenes, tmp_path, dict(loop(), greatest=0.02)).test()


@pytest.mark.skipif(find_spec("mmpretrain") is None, reason="MMPretrain is not installed")
def test_a_classifier(tmp_path: Path) -> None:
    import class_runs

    root = class_runs.write_pictures(tmp_path / "pictures", 5)
    cfg = class_runs.config(root, tmp_path, test_cfg=dict(loop(), size=3, strength=0.3))
    # MMEngine names a run, and with it the scope of its registries, after the second it starts in.
    cfg.experiment_name = "classifier"
    runner = class_runs.build(cfg)
    made = run_of(runner)
    assert made.measure == "top1_error" and made.grid.acts == "after_crop"
    dataset = runner.test_loop.cells.dataset.dataset
    wrong = np.zeros(len(made.grid.places))
    for item in dataset:  # resized and cropped
        assert item["inputs"].shape == (3, class_runs.SIZE, class_runs.SIZE)
        sample = item["data_samples"]
        for place, cell in enumerate(made.grid.protocol().cells):
            seeds = [image_seed(0, sample.img_path)]
            noisy = corrupt(item["inputs"].flip(0)[None], cell.corruption, 1, seeds).flip(1)
            data = dict(inputs=noisy, data_samples=[sample.clone()])
            wrong[place] += int(runner.model.test_step(data)[0].pred_label != sample.gt_label)
    np.testing.assert_allclose(made.error, made.grid.mirrored(100 * wrong / 5), rtol=1e-12)
    assert made.error.max() > made.clean
