"""Counts of passes against plain NumPy, and on their way through the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.calibration import BINS
from mmseg_robust.evaluation.image_counts import ImageCounts, join_images
from mmseg_robust.evaluation.pass_counts import PassCounter
from mmseg_robust.evaluation.result_store import IDENTITY, ResultStore

PASSES = get_protocol("demo").passes
CLASSES = 4


def sample(seed: int, label: torch.Tensor) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(CLASSES, *label.shape, generator=generator)
    return {
        "img_path": "a.png",
        "gt_sem_seg": {"data": label[None]},
        "seg_logits": {"data": logits},
        "pred_sem_seg": {"data": logits.argmax(0)[None]},
    }


def make(seed: int = 0) -> tuple[ImageCounts, list[dict[str, Any]]]:
    generator = torch.Generator().manual_seed(99 + seed)
    label = torch.randint(0, CLASSES, (13, 17), generator=generator)
    label[:3] = 255
    label[3, 0] = 9  # no class, not ignored
    samples = [sample(100 * seed + index, label) for index in range(len(PASSES))]
    counter = PassCounter("a", PASSES, CLASSES, 255)
    for index, each in enumerate(samples):
        counter.add(index, each)
    return counter.finish().wait(), samples


def test_confusion_equals_a_plain_count() -> None:
    counts, samples = make()
    for index, each in enumerate(samples):
        table = np.zeros((CLASSES + 1, CLASSES + 1), int)
        label, prediction = each["gt_sem_seg"]["data"][0], each["pred_sem_seg"]["data"][0]
        for row, column in zip(label.flatten().tolist(), prediction.flatten().tolist()):
            if row != 255:
                table[min(row, CLASSES), column] += 1
        own = counts.confusion[counts.confusion[:, 0] == index]
        dense = np.zeros_like(table)
        dense[own[:, 1], own[:, 2]] = own[:, 3]
        np.testing.assert_array_equal(dense, table)


def test_flips_compare_with_the_next_weaker_severity() -> None:
    counts, samples = make()
    maps = [each["pred_sem_seg"]["data"] for each in samples]
    for index, cell in enumerate(PASSES):
        weaker = [
            other for other in range(index)
            if PASSES[other].corruption == cell.corruption
            and PASSES[other].severity < cell.severity
        ]  # fmt: skip
        expected = (maps[index] != maps[weaker[-1] if weaker else 0]).sum()
        assert counts.flips[index].tolist() == [expected, 13 * 17 if index else 0]


def test_the_order_of_corruptions_does_not_matter() -> None:
    counts, samples = make()
    turned = PassCounter("a", PASSES, CLASSES, 255)
    for index in [0, *range(5, len(PASSES)), *range(1, 5)]:
        turned.add(index, samples[index])
    again = turned.finish().wait()
    for name in ("confusion", "nan", "flips", "confidence"):
        np.testing.assert_array_equal(getattr(again, name), getattr(counts, name))


def test_confidence_is_the_probability_of_the_predicted_class() -> None:
    counts, samples = make()
    each = samples[2]
    probability = each["seg_logits"]["data"].double().softmax(0).amax(0)
    label, prediction = each["gt_sem_seg"]["data"][0], each["pred_sem_seg"]["data"][0]
    counted = label < CLASSES
    for row, right in ((0, False), (1, True)):
        chosen = probability[counted & ((label == prediction) == right)]
        expected = torch.histc(chosen, BINS, 0, 1)
        apart = np.abs(counts.confidence[2, row].cumsum() - expected.numpy().cumsum())
        assert apart.max() <= 1  # a value at the edge of a bin
        assert counts.confidence[2, row].sum() == len(chosen)


def test_nan_and_single_channel_logits() -> None:
    label = torch.tensor([[0, 1], [1, 255]])
    probabilities = torch.tensor([[[0.12, 0.62], [float("nan"), 0.7]]])
    each = {
        "img_path": "a.png",
        "gt_sem_seg": {"data": label[None]},
        "seg_logits": {"data": probabilities},
        "pred_sem_seg": {"data": (probabilities > 0.3).long()},
    }
    counter = PassCounter("a", PASSES[:1], 2, 255)
    counter.add(0, each)
    counts = counter.finish().wait()
    assert counts.nan.tolist() == [True]
    wrong, right = counts.confidence[0]
    assert wrong[0] == 1  # NaN
    assert right[int(BINS * 0.88)] == 1
    assert right[int(BINS * 0.62)] == 1


def test_missing_and_wrong_labels_are_named() -> None:
    counter = PassCounter("a", PASSES, CLASSES, 255)
    good = sample(0, torch.zeros(4, 5, dtype=torch.long))
    with pytest.raises(InputError, match=r"No label came with 'a\.png'"):
        counter.add(0, {key: value for key, value in good.items() if key != "gt_sem_seg"})
    good["gt_sem_seg"] = {"data": torch.zeros(1, 4, 4, dtype=torch.long)}
    with pytest.raises(InputError, match="put LoadAnnotations after Resize"):
        counter.add(0, good)
    good = sample(0, torch.zeros(4, 5, dtype=torch.long))
    good["seg_logits"] = {"data": good["seg_logits"]["data"][:, :3]}
    with pytest.raises(InputError, match=r"logits for 'a\.png' have shape \(4, 3, 5\), .* 20 pix"):
        counter.add(0, good)


def test_a_missing_pass_is_not_taken_for_an_empty_one() -> None:
    counter = PassCounter("a", PASSES, CLASSES, 255)
    counter.add(0, sample(0, torch.zeros(4, 5, dtype=torch.long)))
    with pytest.raises(AssertionError, match="passes missing"):
        counter.finish()


def test_sums_over_images() -> None:
    images = [make(seed)[0] for seed in range(3)]
    counts = join_images(images, len(PASSES), CLASSES)
    assert counts.areas.shape == (3, len(PASSES), 3, CLASSES)
    confusion = counts.confusion[:, :CLASSES, :CLASSES]
    np.testing.assert_array_equal(counts.total_areas[:, 0], np.diagonal(confusion, 0, 1, 2))
    np.testing.assert_array_equal(counts.total_areas[:, 2], counts.confusion.sum(2)[:, :CLASSES])
    assert counts.confusion[:, CLASSES].sum() == 3 * len(PASSES)  # one pixel of no class each
    np.testing.assert_array_equal(counts.flips[1], images[1].flips)


def test_the_store_gives_back_what_it_got(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "s", {"seed": 0}, len(PASSES))
    counts, _ = make()
    assert store.read(3) is None
    store.write(3, counts)
    again = ResultStore(tmp_path / "s", {"seed": 0}, len(PASSES)).read(3)
    assert again is not None
    for name in ("confusion", "nan", "flips", "confidence"):
        np.testing.assert_array_equal(getattr(again, name), getattr(counts, name))
    assert sorted(path.name for path in store.folder.iterdir()) == ["000003.npz", IDENTITY]


def test_damaged_files_are_found(tmp_path: Path) -> None:
    store = ResultStore(tmp_path, {}, len(PASSES))
    counts, _ = make()
    store.write(0, counts)
    whole = store.path(0).read_bytes()
    for broken in (b"", whole[:-1], whole[: len(whole) // 2], b"x" * len(whole)):
        store.path(0).write_bytes(broken)
        assert store.read(0) is None
    for place in range(60, len(whole) - 100, 211):  # one altered byte anywhere
        store.path(0).write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        found = store.read(0)
        assert found is None or all(
            np.array_equal(getattr(found, name), getattr(counts, name))
            for name in ("confusion", "nan", "flips", "confidence")
        )
    other = ResultStore(tmp_path / "other", {}, 2)
    other.path(0).write_bytes(whole)
    assert other.read(0) is None, "of another protocol"


def test_a_store_of_something_else_is_refused(tmp_path: Path) -> None:
    ResultStore(tmp_path, {"seed": 0, "weights": "abc"}, 2)
    with pytest.raises(InputError, match="belongs to another run: seed: 0 there, 1 here"):
        ResultStore(tmp_path, {"seed": 1, "weights": "abc"}, 2)
    (tmp_path / IDENTITY).write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        ResultStore(tmp_path, {"seed": 0}, 2)
    with pytest.raises(InputError, match="Cannot write the store"):
        ResultStore("/proc/none/store", {}, 2)
