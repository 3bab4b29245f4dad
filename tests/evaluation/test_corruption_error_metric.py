"""The metric under the stock test loop over a stored tree, against the robustness loop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_runs import build, config, scene, write_scenes
from load_tool import load_tool
from mmengine.runner import Runner
from PIL import Image

from mmseg_robust.corruptions import Cell, corrupt_array, get_protocol, image_seed
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.corruption_error_metric import CorruptionErrorMetric
from mmseg_robust.evaluation.record_files import images_path, read_counts, read_record

PROTOCOL = get_protocol("demo")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images in all cells of the protocol and in one more, with labels beside them."""
    root = tmp_path_factory.mktemp("stored")
    for cell in (*PROTOCOL.passes, Cell("snow", 1)):
        for index in range(2):
            image, label = scene(index)
            image = corrupt_array(
                image, cell.corruption if cell.severity else "fog", cell.severity,
                image_seed(0, str(index)),
            )  # fmt: skip
            for folder, pixels in (("img", image), ("ann", label)):
                path = root / folder / str(cell) / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    return root


def test_it_gives_the_numbers_of_the_loop(stored: Path, tmp_path: Path) -> None:
    clean = write_scenes(tmp_path / "clean", count=2)
    loop_file, metric_file = tmp_path / "loop.json", tmp_path / "metric.json"
    expected = build(config(clean, tmp_path, **{"test_cfg.out_file": str(loop_file)})).test()
    metric = dict(
        type="CorruptionErrorMetric", protocol="demo", root=str(stored / "img"),
        baseline=str(loop_file), out_file=str(metric_file), _delete_=True,
    )  # fmt: skip
    changes = {
        "test_cfg": dict(type="TestLoop", _delete_=True),
        "test_evaluator": metric,
        "test_dataloader.batch_size": 3,
    }
    metrics = build(config(stored, tmp_path, **changes)).test()
    for key in ("clean", "mean", "retention", "fog", "noise"):
        assert metrics[f"robustness/{key}"] == expected[f"robustness/{key}"]
    assert metrics["robustness/mCE"] == 100
    loop, stored_record = (read_record(path) for path in (loop_file, metric_file))
    for entry in stored_record["cells"]:
        assert entry.pop("flip_rate") is None
    assert all(entry.pop("flip_rate") > 0 for entry in loop["cells"])
    assert stored_record["cells"] == loop["cells"]
    assert stored_record["clean"] == loop["clean"]
    assert None not in (loop["clean"]["ECE"], loop["clean"]["mIoU_interval"])
    for name in ("corruptions", "groups", "severities"):
        for key in ("mIoU", "mIoU_interval", "ECE"):
            found = {part: entry.get(key) for part, entry in stored_record[name].items()}
            assert found == {part: entry.get(key) for part, entry in loop[name].items()}
    stored_counts, counts = (read_counts(images_path(path)) for path in (metric_file, loop_file))
    np.testing.assert_array_equal(stored_counts.areas, counts.areas)
    np.testing.assert_array_equal(stored_counts.confusion, counts.confusion)
    assert stored_counts.names == ("0", "1")
    fog = next(e["mIoU"] for e in loop["cells"] if (e["corruption"], e["severity"]) == ("fog", 4))
    assert metrics["robustness/fog/4"] == round(fog, 2)


def test_a_grid_of_frequencies_gives_the_numbers_of_the_loop(tmp_path: Path) -> None:
    """Names of frequencies hold brackets, commas and a point."""
    clean = write_scenes(tmp_path / "clean", count=2)
    name, tree = "fourier-3x3", tmp_path / "tree"
    load_tool("dataset_converters/corrupt_dataset.py").main(
        ["--protocol", name, "--source", str(clean / "img"), "--out", str(tree), "--workers", "0"]
    )
    for folder in [path.parent for path in tree.rglob("0.png")]:
        shutil.copytree(clean / "ann", tmp_path / "labels" / folder.relative_to(tree))
    files = tmp_path / "loop.json", tmp_path / "metric.json"
    own = {"test_cfg.protocol": name, "test_cfg.out_file": str(files[0])}
    build(config(clean, tmp_path / "loop", **own)).test()
    metric = dict(
        type="CorruptionErrorMetric", protocol=name, root=str(tree), out_file=str(files[1]),
        _delete_=True,
    )  # fmt: skip
    stored = {
        "test_cfg": dict(type="TestLoop", _delete_=True),
        "test_evaluator": metric,
        "test_dataloader.dataset.data_prefix": dict(img_path="tree", seg_map_path="labels"),
    }
    build(config(tmp_path, tmp_path / "metric", **stored)).test()
    loop, record = (read_record(path) for path in files)
    means = {own["corruption"]: own["mIoU"] for own in loop["cells"]}
    assert {own["corruption"]: own["mIoU"] for own in record["cells"]} == means
    assert len(means) == len(get_protocol(name).passes) - 1 and len(set(means.values())) > 1


def metric_run(stored: Path, work_dir: Path, metric: dict[str, Any], **changes: Any) -> Runner:
    metric = dict(
        type="CorruptionErrorMetric", protocol="demo", root=str(stored / "img"), _delete_=True,
        **metric,
    )  # fmt: skip
    changes["test_cfg"] = dict(type="TestLoop", _delete_=True)
    # Without a name of its own a run may share the logger, and its stream, of an earlier test.
    changes["experiment_name"] = work_dir.name
    return build(config(stored, work_dir, test_evaluator=metric, **changes))


def test_a_dataset_without_classes_is_refused(stored: Path, tmp_path: Path) -> None:
    changes = {"test_dataloader.dataset.metainfo": dict(_delete_=True)}
    with pytest.raises(InputError, match="The test dataset names no classes"):
        metric_run(stored, tmp_path, {}, **changes).test()


def test_the_baseline_must_fit_the_run(
    stored: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    metric_run(stored, tmp_path, {"out_file": str(first)}).test()
    record = json.loads(first.read_text())
    second.write_text(json.dumps({**record, "num_images": 9}))
    metric_run(stored, tmp_path, {"baseline": str(second)}).test()
    assert "measured with images 9, this run has images 2" in capfd.readouterr().out
    second.write_text(json.dumps({**record, "classes": ["road", "sky"]}))
    with pytest.raises(InputError, match=r"2 \(road, sky\), .* 3 \(road, sky, tree\)"):
        metric_run(stored, tmp_path, {"baseline": str(second)}).test()


def test_an_incomplete_tree_is_refused(stored: Path, tmp_path: Path) -> None:
    root = tmp_path / "partial"
    shutil.copytree(stored, root)
    for folder in ("img", "ann"):
        (root / folder / "contrast" / "4" / "1.png").unlink()
    changes = {
        "test_cfg": dict(type="TestLoop", _delete_=True),
        "test_evaluator": dict(
            type="CorruptionErrorMetric", protocol="demo", root=str(root / "img"), _delete_=True
        ),
    }
    message = r"Cell contrast/4 of demo has 1 images .* others have 2: .* '1' is missing"
    with pytest.raises(InputError, match=message):
        build(config(root, tmp_path, **changes)).test()


def test_augmented_predictions_have_no_calibration_error(stored: Path, tmp_path: Path) -> None:
    """MMSegmentation leaves the last augmentation's logits beside the merged prediction."""
    flips = [[dict(type="RandomFlip", prob=p, direction="horizontal") for p in (0.0, 1.0)]]
    tail = [[dict(type="LoadAnnotations")], [dict(type="PackSegInputs")]]
    metric = dict(
        type="CorruptionErrorMetric", protocol="demo", root=str(stored / "img"),
        out_file=str(tmp_path / "tta.json"), _delete_=True,
    )  # fmt: skip
    changes = {"test_cfg": dict(type="TestLoop", _delete_=True), "test_evaluator": metric}
    cfg = config(stored, tmp_path, **changes)
    cfg.test_dataloader.dataset.pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="TestTimeAug", transforms=flips + tail),
    ]
    cfg.model = dict(type="SegTTAModel", module=cfg.model)
    build(cfg).test()
    record = read_record(tmp_path / "tta.json")
    assert record["summary"]["ECE"] is None
    assert "ECE left out: the predictions came without logits." in record["notes"]
    assert record["summary"]["mean"] > 50


def test_bad_arguments_are_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Unknown protocol"):
        CorruptionErrorMetric("none", "data")
    with pytest.raises(InputError, match="neither a file nor a published baseline"):
        CorruptionErrorMetric("demo", "data", baseline=str(tmp_path / "none.json"))
    with pytest.raises(InputError, match="'alexnet' states top-1 error, the other mIoU"):
        CorruptionErrorMetric("imagenet-c", "data", baseline="alexnet")
    with pytest.raises(InputError, match="it is a folder"):
        CorruptionErrorMetric("demo", "data", out_file=str(tmp_path))
