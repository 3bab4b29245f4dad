"""Published baselines against the tables that they come from."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.baseline import read_baseline
from mmseg_robust.evaluation.published import find_baseline, published_baselines
from mmseg_robust.evaluation.record_files import read_record

PROTOCOL = get_protocol("cityscapes-c")

#: Clean mIoU of SegFormer's Table 5, sums of its four groups of four columns (blur, noise, digital,
#: weather), and the mean over its 16 columns and retention, rounded to one digit.
TABLE_5 = {
    "deeplabv3plus-mobilenetv2": (72.0, 196.9, 36.6, 158.0, 117.3, 31.8, 44.2),
    "deeplabv3plus-r50": (76.6, 220.0, 54.8, 181.6, 132.7, 36.8, 48.1),
    "deeplabv3plus-r101": (77.1, 220.4, 80.3, 192.6, 137.5, 39.4, 51.1),
    "deeplabv3plus-x41": (77.8, 222.2, 99.6, 210.7, 143.0, 42.2, 54.3),
    "deeplabv3plus-x65": (78.4, 235.0, 87.8, 202.5, 157.4, 42.7, 54.4),
    "deeplabv3plus-x71": (78.6, 237.4, 86.3, 214.0, 153.5, 43.2, 55.0),
    "icnet": (65.9, 182.5, 55.3, 135.6, 75.1, 28.0, 42.5),
    "fcn8s": (66.7, 144.9, 45.1, 149.5, 100.2, 27.5, 41.2),
    "dilatednet": (68.6, 151.6, 80.7, 152.5, 98.7, 30.2, 44.1),
    "resnet-38": (77.5, 190.2, 86.2, 172.2, 134.5, 36.4, 47.0),
    "pspnet": (78.8, 211.3, 76.0, 164.2, 101.7, 34.6, 43.9),
    "gscnn": (80.9, 219.3, 39.6, 220.5, 160.2, 40.0, 49.4),
    "segformer-b5": (82.4, 271.6, 246.3, 297.6, 237.5, 65.8, 79.9),
}
#: City-C and retention as FAN and STL print them (STL, arXiv 2401.03844, Table 4).
STL_TABLE_4 = {
    "deeplabv3plus-r50": (36.8, 48.0),
    "deeplabv3plus-r101": (39.4, 51.1),
    "deeplabv3plus-x65": (42.7, 54.5),
    "deeplabv3plus-x71": (42.5, 54.1),
    "icnet": (28.0, 42.5),
    "fcn8s": (27.4, 41.1),
    "dilatednet": (30.3, 44.2),
    "resnet-38": (32.6, 42.1),
    "pspnet": (34.5, 43.8),
    "segformer-b5": (65.8, 79.9),
}
#: Rows that STL prints with another mean than SegFormer's own columns give.
DISAGREE = {"deeplabv3plus-x71", "resnet-38"}
#: AlexNet's errors as shares, in the order of ImageNet-C (github.com/hendrycks/robustness).
ALEXNET = (
    0.886428, 0.894468, 0.922640, 0.819880, 0.826268, 0.785948, 0.798360, 0.866816, 0.826572,
    0.819324, 0.564592, 0.853204, 0.646056, 0.717840, 0.606500,
)  # fmt: skip


def rounded(value: float) -> float:
    """To one digit, halves up as tables do; free of binary fractions."""
    return int(10 * value + 0.5 + 1e-6) / 10


@pytest.mark.parametrize("name", TABLE_5)
def test_rows_recompute_to_the_published_figures(name: str) -> None:
    clean, blur, noise, digital, weather, mean, retention = TABLE_5[name]
    figures = read_baseline(name, PROTOCOL).figures
    assert figures.clean == clean
    sums = {"blur": blur, "noise": noise, "digital": digital, "weather": weather}
    assert figures.groups == pytest.approx({group: total / 4 for group, total in sums.items()})
    assert (rounded(figures.mean), rounded(figures.retention)) == (mean, retention)


@pytest.mark.parametrize("name", STL_TABLE_4)
def test_where_sources_disagree_the_file_says_so(name: str) -> None:
    mean, retention = STL_TABLE_4[name]
    figures = read_baseline(name, PROTOCOL).figures
    ours = rounded(figures.mean), rounded(figures.retention)
    notes = " ".join(read_record(find_baseline(name)).get("notes", ()))
    assert (f"prints {mean} and {retention} %" in notes) == (ours != (mean, retention))
    assert (abs(figures.mean - mean) > 0.1) == (name in DISAGREE)


def test_every_file_names_its_source() -> None:
    assert set(published_baselines()) == {*TABLE_5, "alexnet"}
    for name, path in published_baselines().items():
        record = read_record(path)
        assert "arXiv" in record["source"] and record["evidence"] == "read", name
        if name != "alexnet":
            assert len(record["classes"]) == 19 and record["num_images"] == 500


def test_single_figures_of_segformer() -> None:
    record = read_record(find_baseline("segformer-b5"))
    assert list(record["corruptions"]) == list(PROTOCOL.corruptions)
    assert record["corruptions"]["speckle_noise"] == {"mIoU": 72.8}
    assert record["corruptions"]["frost"] == {"mIoU": 49.9}


def test_alexnet_holds_what_published_mce_divides_by() -> None:
    record = read_record(find_baseline("alexnet"))
    protocol = get_protocol("imagenet-c")
    assert record["protocol"] == {"name": protocol.name, "version": protocol.version}
    errors = {name: entry["top1_error"] for name, entry in record["corruptions"].items()}
    order = list(protocol.corruptions)
    assert list(errors) == order
    assert [errors[name] for name in order] == pytest.approx([100 * e for e in ALEXNET], abs=1e-9)
    assert fmean(errors.values()) == pytest.approx(78.8993, abs=1e-4)


def test_files_come_before_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_baseline("pspnet") == published_baselines()["pspnet"]
    monkeypatch.chdir(tmp_path)
    Path("pspnet").write_text(json.dumps({}))
    assert find_baseline("pspnet") == Path("pspnet")


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(
        InputError, match=r"'segformer-b4' is neither .* mean 'segformer-b5'.*icnet"
    ):
        find_baseline("segformer-b4")
