"""The robustness test loop in a real runner, against the stock loop and metric."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from colour_runs import CLASSES, build, config, flags_of_cudnn, pipeline, scene, write_scenes
from mmengine.config import Config
from mmengine.hooks import Hook
from PIL import Image
from small_runs import python, run_ranks

from mmseg_robust.corruptions import get_protocol, image_seed
from mmseg_robust.corruptions.backends import corrupt_array
from mmseg_robust.engine.loops.cells_loop import CellsLoop
from mmseg_robust.errors import InputError

STOCK = {"test_cfg": dict(type="TestLoop", _delete_=True)}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("scenes"), count=5)


def run(root: Path, work_dir: Path, **changes: Any) -> tuple[dict[str, float], dict[str, Any]]:
    """Metrics and record of a run."""
    out_file = str(work_dir / "out.json")
    metrics = build(config(root, work_dir, **{"test_cfg.out_file": out_file, **changes})).test()
    return metrics, json.loads(Path(out_file).read_text())


def scores(record: dict[str, Any]) -> list[Any]:
    """What must not depend on how the work was shared out."""
    return [record["clean"], record["cells"], record["corruptions"], record["summary"]]


@pytest.fixture(scope="module")
def measured(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    return run(scenes, tmp_path_factory.mktemp("measured"))


def test_clean_metrics_equal_the_stock_loop(scenes: Path, tmp_path: Path, measured: tuple) -> None:
    stock = build(config(scenes, tmp_path, **STOCK)).test()
    assert 50 < stock["mIoU"] < 99.9  # neither trivial nor broken
    assert {key: measured[0][key] for key in stock} == stock
    assert round(measured[1]["clean"]["mIoU"], 2) == pytest.approx(stock["mIoU"], abs=1e-4)


@pytest.mark.parametrize("cell", [("impulse_noise", 4), ("fog", 4), ("jpeg_compression", 2)])
def test_a_cell_equals_the_stock_loop_on_stored_images(
    tmp_path: Path, measured: tuple, cell: tuple[str, int]
) -> None:
    root = write_scenes(tmp_path / "stored", count=5)
    for index in range(5):
        image = corrupt_array(scene(index)[0], *cell, image_seed(0, f"{index}.png"))
        Image.fromarray(image).save(root / "img" / f"{index}.png")
    stock = build(config(root, tmp_path, **STOCK)).test()
    entry = next(e for e in measured[1]["cells"] if (e["corruption"], e["severity"]) == cell)
    for key in ("mIoU", "aAcc", "mAcc"):
        assert round(entry[key], 2) == pytest.approx(stock[key], abs=1e-4)
    assert abs(entry["mIoU"] - measured[1]["clean"]["mIoU"]) > 1


def test_the_record(measured: tuple) -> None:
    metrics, record = measured
    protocol = get_protocol("demo")
    assert record["protocol"]["name"] == "demo"
    assert record["num_images"] == 5
    assert record["classes"] == list(CLASSES)
    assert len(record["cells"]) == len(protocol.cells)
    labelled = 5 * (48 * 64 - 36)
    for entry in [record["clean"], *record["cells"]]:
        areas = {name: np.array(values) for name, values in entry["areas"].items()}
        assert areas["label"].sum() == areas["prediction"].sum() == labelled
        iou = 100 * areas["intersect"] / areas["union"]
        assert entry["mIoU"] == pytest.approx(iou.mean())
        assert entry["aAcc"] == pytest.approx(100 * areas["intersect"].sum() / labelled)
    means = [
        np.mean([e["mIoU"] for e in record["cells"] if e["corruption"] == name])
        for name in protocol.corruptions
    ]
    assert record["summary"]["mean"] == pytest.approx(np.mean(means))
    retention = 100 * np.mean(means) / record["clean"]["mIoU"]
    assert metrics["robustness/retention"] == round(retention, 2)
    assert metrics["robustness/fog"] == round(means[protocol.corruptions.index("fog")], 2)
    assert "robustness/mCE" not in metrics


@pytest.mark.parametrize(
    "size, workers, pixels", [(3, 0, "device"), (5, 2, "device"), (8, 2, "host"), (100, 0, "host")]
)
def test_batches_workers_and_the_place_change_nothing(
    scenes: Path, tmp_path: Path, measured: tuple, size: int, workers: int, pixels: str
) -> None:
    changes = {
        "test_cfg.cells_per_batch": size,
        "test_cfg.pixels": pixels,
        "test_dataloader.num_workers": workers,
        "test_dataloader.batch_size": 2,
        "test_dataloader.drop_last": True,
    }
    metrics, record = run(scenes, tmp_path, **changes)
    assert metrics == measured[0]
    assert scores(record) == scores(measured[1])
    assert record["run"]["pixels"] == pixels


def test_autocast_casts_the_weights_once(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its copies live until the outermost autocast ends; each batch has one of its own."""
    half = {"test_cfg.fp16": True, "test_dataloader.dataset.indices": 2}
    dropped: list[str] = []
    drop = torch.clear_autocast_cache
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: dropped.append("") or drop())
    kept = run(scenes, tmp_path / "kept", **half)
    assert len(dropped) == 1

    @contextmanager
    def nothing(self: CellsLoop) -> Iterator[None]:
        yield

    monkeypatch.setattr(CellsLoop, "_model_as_tested", nothing)
    anew = run(scenes, tmp_path / "anew", **half)
    assert len(dropped) > 20
    assert scores(kept[1]) == scores(anew[1])


@pytest.mark.parametrize("fails", [False, True])
def test_cudnn_tries_no_algorithms(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """What wins a trial differs between processes, and then so do the last bits."""
    flags = flags_of_cudnn(monkeypatch)
    if fails:
        monkeypatch.setattr(CellsLoop, "_test", interrupted)
    changes = {"env_cfg.cudnn_benchmark": True, "test_dataloader.dataset.indices": 1}
    with pytest.raises(KeyboardInterrupt) if fails else nullcontext():
        run(scenes, tmp_path, **changes)
    assert set(flags) == (set() if fails else {("test_step", False, True)})
    cudnn = torch.backends.cudnn
    assert (cudnn.benchmark, cudnn.deterministic) == (True, False), "as the config asks for"


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_the_seed_matters(scenes: Path, tmp_path: Path, measured: tuple) -> None:
    _, record = run(scenes, tmp_path, **{"test_cfg.seed": 1})
    assert record["clean"] == measured[1]["clean"]
    assert record["summary"]["mean"] != measured[1]["summary"]["mean"]


def test_two_ranks_give_the_numbers_of_one(scenes: Path, tmp_path: Path, measured: tuple) -> None:
    # 5 images times 13 passes are an odd number: a stock sampler would repeat one for the 2nd rank
    out_file = tmp_path / "two.json"
    changes = {"launcher": "pytorch", "test_cfg.out_file": str(out_file)}
    cfg = config(scenes, tmp_path, **changes)
    run_ranks(lambda: build(cfg).test())
    assert scores(json.loads(out_file.read_text())) == scores(measured[1])


def test_reduce_zero_label_and_ignore_index(scenes: Path, tmp_path: Path) -> None:
    changes = {
        "test_dataloader.dataset.reduce_zero_label": True,
        "test_evaluator.ignore_index": 1,
    }
    stock = build(config(scenes, tmp_path / "stock", **changes, **STOCK)).test()
    metrics, record = run(scenes, tmp_path, **changes)
    assert {key: metrics[key] for key in stock} == stock
    # Reduced labels: 0 becomes 255, which is no class; 1 is ignored.
    assert record["clean"]["areas"]["label"][1:] == [0, 0]
    assert record["clean"]["IoU"][0] == pytest.approx(float(stock["mIoU"]) * 3, abs=0.03)


def test_test_time_augmentation(scenes: Path, tmp_path: Path) -> None:
    flips = [[dict(type="RandomFlip", prob=p, direction="horizontal") for p in (0.0, 1.0)]]
    tail = [[dict(type="LoadAnnotations")], [dict(type="PackSegInputs")]]
    cfg = config(scenes, tmp_path)
    cfg.test_dataloader.batch_size = 2
    cfg.test_dataloader.dataset.pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="TestTimeAug", transforms=flips + tail),
    ]
    cfg.model = dict(type="SegTTAModel", module=cfg.model)
    metrics = build(cfg).test()
    cfg.test_cfg = dict(type="TestLoop")
    stock = build(cfg).test()
    assert {key: metrics[key] for key in stock} == stock


class CallCounter(Hook):
    """Counts the calls of a test run."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.cells: set[int] = set()

    def before_test_epoch(self, runner: Any) -> None:
        self.calls.append("before_test_epoch")

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any, outputs: Any) -> None:
        self.cells.update(sample.robustness_cell for sample in outputs)

    def after_test_epoch(self, runner: Any, metrics: dict[str, float]) -> None:
        assert "robustness/mean" in metrics
        self.calls.append("after_test_epoch")


def test_hooks_see_one_test_run(scenes: Path, tmp_path: Path) -> None:
    runner = build(config(scenes, tmp_path))
    counter = CallCounter()
    runner.register_hook(counter)
    runner.test()
    assert counter.calls == ["before_test_epoch", "after_test_epoch"]
    assert counter.cells == set(range(13))


def test_pictures_and_label_maps_are_kept_by_cell(scenes: Path, tmp_path: Path) -> None:
    changes = {
        "test_evaluator.output_dir": str(tmp_path / "maps"),
        "test_dataloader.batch_size": 3,
        "default_hooks.visualization": dict(type="SegVisualizationHook", draw=True, interval=1),
        "visualizer": dict(
            type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], alpha=0.0
        ),
    }
    runner = build(config(scenes, tmp_path, **changes))
    runner.test()
    maps = {str(path.relative_to(tmp_path / "maps")) for path in (tmp_path / "maps").rglob("*.png")}
    passes = get_protocol("demo").passes
    assert maps == {f"{cell}/{index}.png" for cell in passes for index in range(5)}
    folder = next(Path(runner.log_dir).rglob("vis_image"))
    pictures = {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    assert pictures == {f"{cell}/test_{index}.png_0.png" for cell in passes for index in range(5)}
    # Left half: the labels over the image the model saw, here fully transparent.
    drawn = np.asarray(Image.open(folder / "impulse_noise/4/test_2.png_0.png"))[:48, :64]
    seen = corrupt_array(scene(2)[0], "impulse_noise", 4, image_seed(0, "2.png"))
    assert np.abs(drawn.astype(int) - seen)[8:-8, 8:-8].mean() < 3


def test_progress_and_table_are_logged(scenes: Path, tmp_path: Path) -> None:
    changes = {"log_level": "INFO", "default_hooks.logger": dict(type="LoggerHook", interval=10)}
    runner = build(config(scenes, tmp_path, **changes))
    runner.test()
    log = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert "Epoch(test) [10/15]" in log
    assert "| [weather]" in log
    assert "demo (version 1), 5 images: clean" in log
    assert (Path(runner.log_dir) / "robustness.json").is_file()


def test_a_run_is_its_own_baseline(scenes: Path, tmp_path: Path, measured: tuple) -> None:
    first = tmp_path / "first.json"
    first.write_text(json.dumps(measured[1]))
    metrics, record = run(scenes, tmp_path, **{"test_cfg.baseline": str(first)})
    assert metrics["robustness/mCE"] == metrics["robustness/relative_mCE"] == 100
    assert record["corruptions"]["fog"]["CE"] == pytest.approx(100)


def test_nan_logits_are_counted_and_reported(
    scenes: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    changes = {"test_cfg.out_file": str(tmp_path / "o.json"), "experiment_name": "nan"}
    runner = build(config(scenes, tmp_path, **changes))
    with torch.no_grad():
        runner.model.decode_head.conv_seg.bias[1] = float("nan")
    metrics = runner.test()
    record = json.loads((tmp_path / "o.json").read_text())
    assert record["clean"]["nan_images"] == 5
    assert record["clean"]["areas"]["prediction"][1] == sum(record["clean"]["areas"]["label"])
    assert 0 < metrics["mIoU"] < 20
    assert "NaN for 5 images of cell fog/2" in capfd.readouterr().out


BAD = [
    ({"test_cfg.protocol": "cityscape-c"}, "Did you mean 'cityscapes-c'"),
    ({"test_cfg.protocol": "imagenet-c"}, "after resize and crop"),
    ({"test_cfg.backend": "gpu"}, "Unknown backend 'gpu'. Known: engine, imagecorruptions"),
    (
        {"test_cfg.baseline": "/no/where.json"},
        "'/no/where.json' is neither a file nor a published baseline",
    ),
    ({"test_cfg.out_file": "/proc/none/o.json"}, "Cannot write '/proc/none/o.json'"),
    ({"test_evaluator.format_only": True, "test_evaluator.output_dir": "/tmp"}, "format_only"),
    ({"test_dataloader.dataset.metainfo": dict(_delete_=True)}, "names no classes"),
    ({"test_dataloader.num_batch_per_epoch": 2}, "would cut off cells"),
    ({"test_dataloader.dataset.data_prefix.img_path": "nothing"}, "holds no image"),
    ({"test_dataloader.dataset.pipeline": pipeline()[1:]}, "starts with Resize"),
    ({"test_dataloader.dataset.pipeline": pipeline()[:2] + pipeline()[3:]}, "No label came with"),
    (
        {"test_dataloader.dataset.pipeline": [pipeline()[i] for i in (0, 2, 1, 3)]},
        "put LoadAnnotations after Resize",
    ),
    ({"test_cfg.cells_per_batch": 0}, "an integer from 1, got 0"),
    ({"test_cfg.pixels": "gpu"}, "one of device, host, got 'gpu'"),
    ({"test_cfg.store": "/proc/none/store"}, "Cannot write the store '/proc/none/store'"),
]


@pytest.mark.parametrize("changes, message", BAD, ids=[message for _, message in BAD])
def test_bad_input(scenes: Path, tmp_path: Path, changes: dict, message: str) -> None:
    (scenes / "nothing").mkdir(exist_ok=True)
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        build(config(scenes, tmp_path, **changes)).test()


@pytest.mark.parametrize(
    "part, message",
    [
        ({"protocol": {"name": "ade20k-c", "version": 1}}, "measured with protocol ade20k-c"),
        ({"classes": ["road", "sky"]}, r"2 \(road, sky\), .* 3 \(road, sky, tree\)"),
    ],
)
def test_other_baselines_are_refused(
    scenes: Path, tmp_path: Path, measured: tuple, part: dict, message: str
) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**measured[1], **part}))
    with pytest.raises(InputError, match=message):
        build(config(scenes, tmp_path, **{"test_cfg.baseline": str(other)})).test()


def test_a_baseline_of_other_images_or_seed_is_told(
    scenes: Path, tmp_path: Path, measured: tuple, capfd: pytest.CaptureFixture
) -> None:
    first = tmp_path / "first.json"
    first.write_text(json.dumps({**measured[1], "num_images": 9}))
    # A name of its own: runs that start in the same second share a logger and its stream.
    changes = {"test_cfg.baseline": str(first), "experiment_name": "differences"}
    assert build(config(scenes, tmp_path, **changes)).test_loop.seed == 0
    told = capfd.readouterr().out
    assert "measured with images 9, this run has images 5" in told
    assert "measured with seed" not in told
    changes["test_cfg.seed"] = 3
    assert build(config(scenes, tmp_path, **changes)).test_loop.seed == 3
    assert "measured with seed 0, this run has seed 3" in capfd.readouterr().out


@pytest.mark.parametrize("pixels", ["device", "host"])  # loaded by a thread; by worker processes
def test_a_small_image_in_a_worker_is_named_in_one_line(tmp_path: Path, pixels: str) -> None:
    root = write_scenes(tmp_path / "scenes", count=2)
    image, label = scene(2, height=20)
    Image.fromarray(image).save(root / "img" / "2.png")
    Image.fromarray(label).save(root / "ann" / "2.png")
    with pytest.raises(InputError) as caught:
        changes = {"test_dataloader.num_workers": 1, "test_cfg.pixels": pixels}
        build(config(root, tmp_path, **changes)).test()
    assert str(caught.value).endswith(
        "2.png: An image to corrupt must be at least 32 pixels high and wide, got 20 x 64."
    )
    assert "\n" not in str(caught.value)


def resizing(**kinds: Any) -> dict[str, Any]:
    """Changes that put other transforms in the place of the pipeline's resize."""
    transforms = pipeline()
    transforms[1:2] = kinds["transforms"]
    return {"test_dataloader.dataset.pipeline": transforms}


@pytest.mark.parametrize("scale", [(80, 60), (200, 30), (64, 48), (31, 500)])
def test_the_device_resizes_as_the_pipeline_does(
    scenes: Path, tmp_path: Path, scale: tuple[int, int]
) -> None:
    changes = resizing(transforms=[dict(type="Resize", scale=scale, keep_ratio=True)])
    on_device, host = (
        run(scenes, tmp_path / place, **{"test_cfg.pixels": place, **changes})
        for place in ("device", "host")
    )
    assert on_device[0] == host[0]
    assert scores(on_device[1]) == scores(host[1])


def test_an_unknown_transform_goes_to_the_host(
    scenes: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    changes = resizing(transforms=[dict(type="ResizeShortestEdge", scale=40, max_size=90)])
    _, record = run(scenes, tmp_path, experiment_name="unknown", **changes)
    assert record["run"]["pixels"] == "host"
    assert "has ResizeShortestEdge, which the device path does not know" in capfd.readouterr().out


def test_a_transform_that_lies_is_found(scenes: Path, tmp_path: Path, monkeypatch) -> None:
    """One of a known name that does something else to the pixels."""
    from mmcv.transforms import Resize

    plain = Resize._resize_img

    def darker(self: Resize, results: dict) -> None:
        plain(self, results)
        results["img"] = results["img"] // 2

    monkeypatch.setattr(Resize, "_resize_img", darker)
    for _ in range(2):  # nor does the store make the second run believe the first
        with pytest.raises(InputError, match=r"set test_cfg\.pixels='host'"):
            run(scenes, tmp_path)
    assert not list(tmp_path.rglob("*.npz"))


def test_slide_mode_and_multi_scale_flip_tests(scenes: Path, tmp_path: Path) -> None:
    cfg = config(scenes, tmp_path)
    cfg.model.test_cfg = dict(mode="slide", crop_size=(32, 32), stride=(20, 20))
    scales = [[dict(type="Resize", scale_factor=s, keep_ratio=True) for s in (0.5, 1.25)]]
    flips = [[dict(type="RandomFlip", prob=p, direction="horizontal") for p in (0.0, 1.0)]]
    tail = [[dict(type="LoadAnnotations")], [dict(type="PackSegInputs")]]
    cfg.test_dataloader.dataset.pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="TestTimeAug", transforms=scales + flips + tail),
    ]
    cfg.model = dict(type="SegTTAModel", module=cfg.model)
    results = []
    for place in ("device", "host"):
        cfg.test_cfg.update(pixels=place, out_file=str(tmp_path / f"{place}.json"))
        metrics = build(cfg).test()
        record = json.loads((tmp_path / f"{place}.json").read_text())
        assert record["run"]["pixels"] == place
        results.append((metrics, scores(record)))
    assert results[0] == results[1]


def test_a_finished_run_is_not_tested_again(scenes: Path, tmp_path: Path, measured: tuple) -> None:
    changes = {"test_cfg.store": str(tmp_path / "store")}
    first = run(scenes, tmp_path, **changes)
    assert first[0] == measured[0]
    runner = build(config(scenes, tmp_path, **changes))
    tested = []
    test_step = runner.model.test_step
    runner.model.test_step = lambda data: tested.append(len(data["inputs"])) or test_step(data)
    assert runner.test() == measured[0]
    assert tested == [1] * 5  # the pictures of the page
    (tmp_path / "store" / "000003.npz").write_bytes(b"damaged")
    again = run(scenes, tmp_path, **changes)
    assert again[0] == measured[0]
    assert scores(again[1]) == scores(measured[1])


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"test_cfg.seed": 1}, "seed: 0 there, 1 here"),
        ({"test_cfg.cells_per_batch": 4}, "cells_per_batch: 8 there, 4 here"),
        ({"test_cfg.fp16": True}, "precision"),
        ({"test_dataloader.dataset.indices": 3}, "images"),
        ({"model.test_cfg.mode": "slide", "model.test_cfg.crop_size": (48, 48)}, "config"),
    ],
)
def test_a_store_of_another_run_is_refused(
    scenes: Path, tmp_path: Path, changes: dict, named: str
) -> None:
    store = {"test_cfg.store": str(tmp_path / "store"), "test_dataloader.dataset.indices": 2}
    run(scenes, tmp_path, **store)
    with pytest.raises(InputError, match=f"belongs to another run: .*{named}"):
        run(scenes, tmp_path, **{**store, **changes})


def test_other_weights_are_another_run(scenes: Path, tmp_path: Path) -> None:
    store = {"test_cfg.store": str(tmp_path / "store"), "test_dataloader.dataset.indices": 2}
    run(scenes, tmp_path, **store)
    runner = build(config(scenes, tmp_path, **store))
    with torch.no_grad():
        runner.model.decode_head.conv_seg.bias[0] += 1e-3
    with pytest.raises(InputError, match="weights"):
        runner.test()


def test_a_killed_run_goes_on(scenes: Path, tmp_path: Path, measured: tuple) -> None:
    """SIGKILL after the third image, then the same config in another process."""
    store, out_file = tmp_path / "store", tmp_path / "out.json"
    changes = {"test_cfg.store": str(store), "test_cfg.out_file": str(out_file)}
    config(scenes, tmp_path, **changes).dump(tmp_path / "killed.py")
    script = Path(__file__).parents[2] / "colour_runs.py"
    killed = python(script, tmp_path / "killed.py", 3)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    assert len(list(store.glob("*.npz"))) == 3
    assert not out_file.exists()
    (store / "abandoned.part").write_bytes(b"x")
    build(Config.fromfile(tmp_path / "killed.py")).test()
    assert scores(json.loads(out_file.read_text())) == scores(measured[1])
    assert not list(store.glob("*.part"))


def test_the_report(scenes: Path, tmp_path: Path) -> None:
    runner = build(config(scenes, tmp_path, **{"test_cfg.out_file": str(tmp_path / "o.json")}))
    runner.test()
    folder = Path(runner.log_dir)
    page = (folder / "robustness.html").read_text()
    # Six at most; picture, ground truth and prediction each.
    assert page.count("data:image/") == 3 * 5
    assert (folder / "robustness.csv").read_text().count("\n") >= 1 + 13
    assert "weather" in (folder / "robustness.md").read_text()
    for path in (folder / "robustness_images.npz", tmp_path / "o_images.npz"):
        with np.load(path) as stored:
            assert stored["areas"].shape == (5, 13, 3, 3)
            assert stored["names"].tolist() == [str(index) for index in range(5)]
    record = json.loads((tmp_path / "o.json").read_text())
    for entry in (record["clean"], *record["cells"]):
        low, high = entry["mIoU_interval"]
        assert low <= entry["mIoU"] <= high
        assert 0 <= entry["ECE"] <= 1
    assert record["clean"]["flip_rate"] is None
    assert all(0 < entry["flip_rate"] < 1 for entry in record["cells"])


def test_a_published_baseline_by_name(scenes: Path, tmp_path: Path, monkeypatch) -> None:
    """Of the same protocol, cut down to the demo's corruptions."""
    from mmseg_robust.evaluation import published

    source = json.loads(published.find_baseline("segformer-b5").read_text())
    names = get_protocol("demo").corruptions
    source["protocol"] = {"name": "demo", "version": 1}
    del source["classes"], source["num_images"]
    source["corruptions"] = {name: source["corruptions"][name] for name in names}
    file = tmp_path / "small.json"
    file.write_text(json.dumps(source))
    monkeypatch.setattr(published, "published_baselines", lambda: {"small": file})
    metrics, record = run(scenes, tmp_path, **{"test_cfg.baseline": "small"})
    assert metrics["robustness/mCE"] == round(record["summary"]["mCE"], 2) > 0
    page = next(tmp_path.rglob("robustness.html")).read_text()
    assert "SegFormer-B5" in page or "small" in page
