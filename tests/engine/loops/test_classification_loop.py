"""The robustness test loop on classifiers of MMPretrain, against the stock loop and metrics."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import fork, logged_metrics, run_ranks

from mmseg_robust.corruptions import corrupt_reference, get_protocol, image_seed
from mmseg_robust.corruptions.backends import corrupt_array
from mmseg_robust.errors import InputError

pytest.importorskip("mmpretrain")

from class_runs import (
    CLASSES,
    SIZE,
    build,
    config,
    picture,
    pipeline,
    write_pictures,
)
from colour_runs import die_after
from mmpretrain.registry import TRANSFORMS

COUNT = 7
STOCK = {"test_cfg": dict(type="TestLoop", _delete_=True)}
PASSES = get_protocol("imagenet-c").passes


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"), COUNT)


def run(root: Path, work_dir: Path, **changes: Any) -> tuple[dict[str, float], dict[str, Any]]:
    """Metrics and record of a run."""
    out_file = str(work_dir / "out.json")
    metrics = build(config(root, work_dir, **{"test_cfg.out_file": out_file, **changes})).test()
    return metrics, json.loads(Path(out_file).read_text())


def scores(record: dict[str, Any]) -> list[Any]:
    """What must not depend on how the work was shared out."""
    return [record["clean"], record["cells"], record["corruptions"], record["summary"]]


@pytest.fixture(scope="module")
def measured(
    pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict, dict, dict[str, np.ndarray]]:
    """Metrics, record, and what each image left."""
    folder = tmp_path_factory.mktemp("measured")
    metrics, record = run(pictures, folder)
    with np.load(folder / "out_images.npz") as stored:
        return metrics, record, dict(stored)


def crop(index: int) -> np.ndarray:
    """What the stock pipeline cuts out of an image, RGB."""
    image = picture(index)[0][..., ::-1]
    for step in pipeline()[1:3]:
        image = TRANSFORMS.build(step)({"img": image})["img"]
    return np.ascontiguousarray(image[..., ::-1])


def stock_on(images: list[np.ndarray], folder: Path, **changes: Any) -> dict[str, float]:
    """What the stock loop finds on these images (RGB), which have the names of the others."""
    for index, image in enumerate(images):
        path = folder / "stored" / CLASSES[picture(index)[1]] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return build(config(folder / "stored", folder, **STOCK, **changes)).test()


READY = {"test_dataloader.dataset.pipeline": [pipeline()[0], pipeline()[-1]]}


def test_clean_metrics_equal_the_stock_loop(pictures: Path, tmp_path: Path) -> None:
    metrics = [dict(type="Accuracy", topk=(1, 2)), dict(type="SingleLabelMetric")]
    changes = {"test_evaluator": metrics, "test_dataloader.dataset.indices": 5}
    stock = build(config(pictures, tmp_path, **changes, **STOCK)).test()
    assert 30 < stock["accuracy/top1"] < 100  # neither trivial nor broken
    assert "single-label/f1-score" in stock
    found, record = run(pictures, tmp_path, **changes)
    assert {key: found[key] for key in stock} == stock
    assert 100 - record["clean"]["top1_error"] == pytest.approx(stock["accuracy/top1"], abs=1e-4)
    assert found["robustness/clean"] == pytest.approx(100 - stock["accuracy/top1"], abs=0.01)


@pytest.mark.parametrize("cell", [("impulse_noise", 4), ("motion_blur", 2), ("contrast", 3)])
def test_corruption_comes_after_resize_and_crop(
    tmp_path: Path, measured: tuple, cell: tuple[str, int]
) -> None:
    images = [corrupt_array(crop(i), *cell, image_seed(0, f"{i}.png")) for i in range(COUNT)]
    assert images[0].shape == (SIZE, SIZE, 3)
    stock = stock_on(images, tmp_path, **READY)
    entry = next(e for e in measured[1]["cells"] if (e["corruption"], e["severity"]) == cell)
    assert 100 - entry["top1_error"] == pytest.approx(stock["accuracy/top1"], abs=1e-4)
    assert entry["top1_error"] != measured[1]["clean"]["top1_error"]


def test_the_reference_backend(pictures: Path, tmp_path: Path) -> None:
    changes = {"test_cfg.backend": "imagecorruptions", "test_dataloader.dataset.indices": 3}
    _, record = run(pictures, tmp_path, **changes)
    assert (record["run"]["backend"], record["run"]["pixels"]) == ("imagecorruptions", "host")
    cell = ("gaussian_noise", 5)
    seeds = [image_seed(0, f"{index}.png") for index in (0, 3, 6)]  # sorted by folder
    images = {i: corrupt_reference(crop(i), *cell, s) for i, s in zip((0, 3, 6), seeds)}
    runner = build(config(pictures, tmp_path, **STOCK))
    predicted = [predict(runner, image) for image in images.values()]
    with np.load(tmp_path / "out_images.npz") as stored:
        index = next(i for i, each in enumerate(PASSES) if tuple(each) == cell)
        assert stored["predictions"][:, index].tolist() == predicted
        assert stored["names"].tolist() == ["bird/0", "bird/3", "bird/6"]


def predict(runner: Any, rgb: np.ndarray) -> int:
    bgr = torch.from_numpy(np.ascontiguousarray(rgb[..., ::-1])).permute(2, 0, 1)
    with torch.no_grad():
        return int(runner.model.eval().test_step({"inputs": [bgr]})[0].pred_label)


def test_the_record_follows_from_the_predictions(measured: tuple) -> None:
    metrics, record, stored = measured
    protocol = get_protocol("imagenet-c")
    right = stored["predictions"] == stored["label"][:, None]
    errors = 100 * (1 - right.mean(0))
    assert stored["label"].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert record["protocol"]["acts"] == "after_crop"
    assert record["classes"] == list(CLASSES)
    for entry, error in zip([record["clean"], *record["cells"]], errors):
        assert entry["top1_error"] == pytest.approx(error)
        low, high = entry["top1_error_interval"]
        assert low <= error + 1e-9 and error - 1e-9 <= high
        assert not {"mIoU", "IoU", "areas", "aAcc"} & set(entry)
    by_corruption = errors[1:].reshape(15, 5).mean(1)
    for name, error in zip(protocol.corruptions, by_corruption):
        assert record["corruptions"][name]["top1_error"] == pytest.approx(error)
        assert metrics[f"robustness/{name}"] == pytest.approx(error, abs=0.01)
    assert record["groups"]["blur"]["top1_error"] == pytest.approx(by_corruption[3:7].mean())
    assert record["severities"]["2"]["top1_error"] == pytest.approx(errors[2::5].mean())
    summary = record["summary"]
    assert summary["mean"] == pytest.approx(by_corruption.mean())
    kept = (100 - by_corruption.mean()) / (100 - errors[0])
    assert metrics["robustness/retention"] == round(100 * kept, 2)
    flips = [
        (stored["predictions"][:, i] != stored["predictions"][:, i - 1]).mean() for i in (1, 2)
    ]
    assert [entry["flip_rate"] for entry in record["cells"][:2]] == pytest.approx(flips)
    assert record["clean"]["flip_rate"] is None
    assert "robustness/mCE" not in metrics and record["notes"][-1].startswith("No baseline")


@pytest.mark.parametrize(
    "size, workers, pixels", [(7, 2, "device"), (75, 0, "device"), (30, 2, "host")]
)
def test_batches_workers_and_the_place_change_nothing(
    pictures: Path, tmp_path: Path, measured: tuple, size: int, workers: int, pixels: str
) -> None:
    changes = {
        "test_cfg.cells_per_batch": size,
        "test_cfg.pixels": pixels,
        "test_dataloader.num_workers": workers,
        "test_dataloader.batch_size": 4,
        "test_dataloader.collate_fn": dict(type="default_collate"),  # as MMPretrain's tool sets it
    }
    metrics, record = run(pictures, tmp_path, **changes)
    assert record["run"]["pixels"] == pixels
    with np.load(tmp_path / "out_images.npz") as stored:
        np.testing.assert_array_equal(stored["predictions"], measured[2]["predictions"])
        # Batches of another size are added up in another order.
        np.testing.assert_allclose(stored["confidence"], measured[2]["confidence"], atol=1e-4)
    assert record["summary"]["mean"] == measured[1]["summary"]["mean"]
    assert metrics["accuracy/top1"] == measured[0]["accuracy/top1"]


def test_two_ranks_give_the_numbers_of_one(
    pictures: Path, tmp_path: Path, measured: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An odd number of images: a stock sampler would repeat one for the second rank.
    out_file = tmp_path / "two.json"
    changes = {"launcher": "pytorch", "test_cfg.out_file": str(out_file)}
    cfg = config(pictures, tmp_path, **changes)
    monkeypatch.chdir(tmp_path)  # where MMEngine leaves the folder .dist_test
    run_ranks(lambda: build(cfg).test())
    assert scores(json.loads(out_file.read_text())) == scores(measured[1])
    assert logged_metrics(tmp_path)["accuracy/top1"] == measured[0]["accuracy/top1"]


def test_a_killed_run_goes_on(pictures: Path, tmp_path: Path, measured: tuple) -> None:
    """SIGKILL after the third image, then the same command."""
    store, out_file = tmp_path / "store", tmp_path / "out.json"
    changes = {"test_cfg.store": str(store), "test_cfg.out_file": str(out_file)}
    cfg = config(pictures, tmp_path, **changes)

    def start() -> None:
        die_after(3)
        build(cfg).test()

    killed = fork(start)
    killed.join(120)
    assert killed.exitcode == -signal.SIGKILL
    assert len(list(store.glob("*.npz"))) == 3
    runner = build(cfg)
    tested = []
    test_step = runner.model.test_step
    runner.model.test_step = lambda data: tested.append(len(data["inputs"])) or test_step(data)
    metrics = runner.test()
    assert sum(tested) == (COUNT - 3) * len(PASSES), "and none for the pictures of the page"
    assert metrics == measured[0]
    assert scores(json.loads(out_file.read_text())) == scores(measured[1])


def test_a_damaged_file_is_found(pictures: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    changes = {"test_cfg.store": str(store), "test_dataloader.dataset.indices": 2}
    first = run(pictures, tmp_path, **changes)
    whole = (store / "000001.npz").read_bytes()
    (store / "000001.npz").write_bytes(whole[: len(whole) // 2])
    again = run(pictures, tmp_path, **changes)
    assert (store / "000001.npz").stat().st_size == len(whole)
    assert (again[0], scores(again[1])) == (first[0], scores(first[1]))


def test_test_time_augmentation(pictures: Path, tmp_path: Path) -> None:
    flips = [[dict(type="RandomFlip", prob=p, direction="horizontal") for p in (1.0, 0.0)]]
    changes = {
        "test_dataloader.dataset.pipeline": [
            *pipeline()[:3],
            dict(type="TestTimeAug", transforms=[*flips, [dict(type="PackInputs")]]),
        ],
        "test_dataloader.dataset.indices": 4,
    }
    cfg = config(pictures, tmp_path, **changes)
    cfg.model = dict(type="AverageClsScoreTTA", module=cfg.model)
    results = []
    for place in ("device", "host"):
        cfg.test_cfg.update(pixels=place, out_file=str(tmp_path / f"{place}.json"))
        metrics = build(cfg).test()
        record = json.loads((tmp_path / f"{place}.json").read_text())
        assert record["run"]["pixels"] == place
        results.append((metrics, scores(record)))
    assert results[0] == results[1]
    cfg.test_cfg = dict(type="TestLoop")
    stock = build(cfg).test()
    assert {key: results[0][0][key] for key in stock} == stock
    # The label that the merged sample carries is that of the first augmentation: not used.
    assert 100 - results[0][1][0]["top1_error"] == pytest.approx(stock["accuracy/top1"], abs=1e-4)


def test_a_protocol_at_the_images_own_size(
    pictures: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    """Corrupted before resize and crop, on the host, which knows all of MMPretrain's transforms."""
    changes = {"test_cfg.protocol": "demo", "experiment_name": "native"}
    metrics, record = run(pictures, tmp_path, **changes)
    assert "has ResizeEdge, CenterCrop, which the device path" in capfd.readouterr().out
    assert (record["protocol"]["acts"], record["run"]["pixels"]) == ("native", "host")
    cell = ("gaussian_blur", 4)
    images = [corrupt_array(picture(i)[0], *cell, image_seed(0, f"{i}.png")) for i in range(COUNT)]
    stock = stock_on(images, tmp_path)
    entry = next(e for e in record["cells"] if (e["corruption"], e["severity"]) == cell)
    assert 100 - entry["top1_error"] == pytest.approx(stock["accuracy/top1"], abs=1e-4)
    assert metrics["robustness/mean"] > metrics["robustness/clean"]


def test_nan_logits_are_counted_and_wrong(
    pictures: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    changes = {"test_cfg.out_file": str(tmp_path / "o.json"), "experiment_name": "nan"}
    runner = build(config(pictures, tmp_path, **changes))
    with torch.no_grad():
        runner.model.head.fc.bias[0] = float("nan")  # argmax would pick the class of 3 images
    metrics = runner.test()
    assert metrics["accuracy/top1"] == 0
    record = json.loads((tmp_path / "o.json").read_text())
    assert record["clean"]["nan_images"] == COUNT
    assert record["clean"]["top1_error"] == 100 and record["clean"]["ECE"] == 0
    told = capfd.readouterr().out
    assert f"NaN for {COUNT} images of cell fog/2; they count as wrong" in told


def test_a_run_is_its_own_baseline(pictures: Path, tmp_path: Path, measured: tuple) -> None:
    first = tmp_path / "first.json"
    first.write_text(json.dumps(measured[1]))
    metrics, record = run(pictures, tmp_path, **{"test_cfg.baseline": str(first)})
    assert metrics["robustness/mCE"] == 100
    assert record["corruptions"]["snow"]["relative_CE"] == pytest.approx(100)
    assert record["summary"]["difference"]["mean"] == pytest.approx(0)


def test_alexnet_is_the_baseline_of_imagenet_c(
    pictures: Path, tmp_path: Path, measured: tuple
) -> None:
    metrics, record = run(pictures, tmp_path, **{"test_cfg.baseline": "alexnet"})
    error = measured[1]["corruptions"]["snow"]["top1_error"]
    assert record["corruptions"]["snow"]["CE"] == pytest.approx(100 * error / 86.6816)
    ce = [entry["CE"] for entry in record["corruptions"].values()]
    assert metrics["robustness/mCE"] == pytest.approx(np.mean(ce), abs=0.01)
    page = next(tmp_path.rglob("robustness.html")).read_text()
    assert "Clean top-1 error" in page and "AlexNet" in page and "mIoU" not in page


def test_the_report(pictures: Path, tmp_path: Path) -> None:
    runner = build(config(pictures, tmp_path))
    runner.test()
    folder = Path(runner.log_dir)
    page = (folder / "robustness.html").read_text()
    assert page.count("data:image/") == 6, "pictures, without label maps"
    assert "predicted" in page and 'id="classes"' not in page
    lines = (folder / "robustness.csv").read_text().splitlines()
    assert lines[0] == (
        "corruption,severity,top1_error,top1_error_low,top1_error_high,ECE,flip_rate,nan_images"
    )
    assert len(lines) == 1 + len(PASSES)
    assert "top-1 error" in (folder / "robustness.md").read_text()
    with np.load(folder / "robustness_images.npz") as stored:
        assert set(stored) == {"names", "label", "predictions", "confidence"}
        assert stored["predictions"].shape == stored["confidence"].shape == (COUNT, len(PASSES))


def test_pictures_are_kept_by_cell(pictures: Path, tmp_path: Path) -> None:
    changes = {
        "test_cfg.protocol": "demo",
        "test_dataloader.dataset.indices": 2,
        "visualizer": dict(type="UniversalVisualizer", vis_backends=[dict(type="LocalVisBackend")]),
    }
    hook = dict(type="VisualizationHook", enable=True, interval=1)
    expected = {
        f"{cell}/{index}.png_0.png" for cell in get_protocol("demo").passes for index in (0, 3)
    }
    for out_dir in (None, str(tmp_path / "drawn")):
        changes["default_hooks.visualization"] = dict(hook, out_dir=out_dir)
        runner = build(config(pictures, tmp_path, **changes))
        runner.test()
        root = Path(out_dir or next(Path(runner.log_dir).rglob("vis_image")))
        assert {str(path.relative_to(root)) for path in root.rglob("*.png")} == expected


def test_the_light_measure_at_validation(pictures: Path, tmp_path: Path) -> None:
    metrics, _ = run(pictures, tmp_path, **{"test_cfg.protocol": "demo"})
    cfg = config(pictures, tmp_path)
    cfg.val_dataloader, cfg.val_evaluator = cfg.test_dataloader, cfg.test_evaluator
    cfg.val_cfg = dict(type="RobustnessValLoop", protocol="demo")
    found = build(cfg).val()
    assert set(found) >= {"accuracy/top1", "robustness/mean", "robustness/retention"}
    assert found == {key: metrics[key] for key in found}


MULTI_LABEL = dict(
    type="MultiLabelLinearClsHead", num_classes=3, in_channels=64, _delete_=True,
    loss=dict(type="CrossEntropyLoss", use_sigmoid=True),
)  # fmt: skip
BAD = [
    (
        {"test_dataloader.dataset": dict(with_label=False, metainfo=dict(classes=CLASSES))},
        "No label came with .*with_label=True",
    ),
    ({"test_dataloader.dataset.with_label": False}, "names no classes"),
    ({"model.head": MULTI_LABEL}, "one label an image, the model has a MultiLabelLinearClsHead"),
    ({"test_evaluator": dict(type="MultiLabelMetric")}, "or MMPretrain's Accuracy .* MultiLabelM"),
    ({"model.head.num_classes": 4}, r"each of the 3 classes .* but shape \(4,\)"),
    ({"test_cfg.baseline": "segformer-b5"}, "measured with protocol cityscapes-c"),
    ({"test_dataloader.dataset.pipeline": pipeline()[:3]}, "it ends with CenterCrop"),
    ({"test_dataloader.dataset.pipeline": pipeline()[1:]}, "starts with ResizeEdge"),
    ({"test_dataloader.dataset.pipeline.2.crop_size": 20}, "at least 32 pixels"),
]


@pytest.mark.parametrize("changes, message", BAD, ids=[message for _, message in BAD])
def test_bad_input(pictures: Path, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(config(pictures, tmp_path, **changes)).test()


def test_several_labels_of_an_image_are_refused(pictures: Path, tmp_path: Path) -> None:
    listing = {
        "metainfo": {"classes": CLASSES},
        "data_list": [{"img_path": "bird/0.png", "gt_label": [0, 2]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(listing))
    dataset = dict(
        type="MultiLabelDataset", data_root=str(pictures), pipeline=pipeline(), _delete_=True,
        ann_file=str(tmp_path / "labels.json"),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"0\.png' has 2 labels"):
        build(config(pictures, tmp_path, **{"test_dataloader.dataset": dataset})).test()


def test_a_baseline_of_a_segmentor_is_refused(
    pictures: Path, tmp_path: Path, measured: tuple
) -> None:
    text = json.dumps(measured[1]).replace("top1_error", "mIoU")
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(InputError, match=r"other\.json' states mIoU, the other top-1 error"):
        build(
            config(pictures, tmp_path, **{"test_cfg.baseline": str(tmp_path / "other.json")})
        ).test()
