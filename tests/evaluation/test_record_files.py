"""Files of a record and of its counts."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_counts import random_counts
from test_record import record

from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.image_counts import RunCounts
from mmseg_robust.evaluation.record_files import (
    SCHEMA,
    images_path,
    read_counts,
    read_record,
    write_counts,
    write_record,
)

ARRAYS = [field.name for field in dataclasses.fields(RunCounts) if field.name != "names"]


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    write_record(record(), path)
    assert "NaN" not in path.read_text()
    loaded = read_record(path)
    assert loaded["clean"]["IoU"][1] is None
    assert loaded["cells"][3]["mIoU"] == record()["cells"][3]["mIoU"]
    assert os.listdir(path.parent) == ["record.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_record(record(), path)
    before = path.read_text()
    with pytest.raises(TypeError):
        write_record({"cells": [], "bad": object()}, path)
    path.with_name("folder").mkdir()
    with pytest.raises(OSError):
        write_record(record(), path.with_name("folder"))
    assert path.read_text() == before
    assert sorted(os.listdir(tmp_path)) == ["folder", "record.json"]


@pytest.mark.parametrize("text", ["", "[1]", '{"schema": "other"}', "\udc80"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"the record '.*other\.json'|The record '.*other\.json'"):
        read_record(path)


@pytest.mark.parametrize("version", [1, 2])
def test_records_of_both_versions_are_read(tmp_path: Path, version: int) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"schema": SCHEMA, "schema_version": version}))
    assert read_record(path)["schema_version"] == version


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"schema": SCHEMA, "schema_version": 3}))
    with pytest.raises(InputError, match="schema version 3, this release reads 1 and 2: update"):
        read_record(path)


def test_counts_survive_their_file(tmp_path: Path) -> None:
    counts, path = random_counts(), tmp_path / "new" / "r_images.npz"
    write_counts(counts, path)
    loaded = read_counts(path)
    assert loaded.names == counts.names
    for key in ARRAYS:
        expected, found = getattr(counts, key), getattr(loaded, key)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_counts_lie_beside_their_record() -> None:
    assert images_path("runs/robustness.json") == Path("runs/robustness_images.npz")
    assert images_path("plain.seed0.json") == Path("plain.seed0_images.npz")


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_counts(path)
    message = str(caught.value)
    assert str(path) in message and "run the test again" in message
    return message


def test_damaged_counts_are_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    path = tmp_path / "r_images.npz"
    counts = random_counts(num_images=2)
    write_counts(counts, path)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path)
    refusals = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x40
        path.write_bytes(bytes(damaged))
        try:
            found = read_counts(path)
        except InputError:
            refusals += 1
        else:  # a time stamp or the like, which decides nothing
            assert found.names == counts.names
            assert all((getattr(found, key) == getattr(counts, key)).all() for key in ARRAYS)
    assert refusals > 0.8 * len(whole)
    path.write_bytes(b"no archive")
    refused(path)
    path.unlink()
    refused(path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"areas": np.zeros((12, 13, 2, 3), np.int32)}, r"areas holds int32 of shape"),
        ({"areas": np.zeros(3, np.int32)}, "areas holds int32 of shape"),
        ({"areas": np.array(3)}, "Cannot read the counts by image"),
        ({"areas": np.zeros((12, 13, 3, 3))}, "areas holds float64"),
        ({"names": ("a",)}, r"not \(1, 13, 3, 3\)"),
        ({"confidence": np.zeros((13, 2, 7), np.int64)}, "confidence holds int64"),
        ({"flips": np.array(["a"])}, "flips holds <U1"),
    ],
)
def test_counts_that_do_not_fit_together_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "r_images.npz"
    write_counts(dataclasses.replace(random_counts(), **changes), path)
    with pytest.raises(InputError, match=message):
        read_counts(path)


def test_archives_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, names=np.array(["a"]))
    assert "areas" in refused(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    refused(path)
    np.savez(path, names=np.array([object()]))  # would run code if it were loaded
    refused(path)
