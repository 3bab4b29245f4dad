"""Runs found, read and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import CLASSES, made_up_record

from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.finished_runs import find_record, partial_differences, read_runs
from mmseg_robust.evaluation.record_files import write_record


def write(path: Path, **changes: Any) -> str:
    write_record({**made_up_record(0.8), **changes}, path)
    return str(path)


def test_what_a_user_may_give(tmp_path: Path) -> None:
    file = Path(write(tmp_path / "mine" / "record.json"))
    assert find_record(str(file)) == file
    assert find_record("pspnet").name == "pspnet.json"
    for time in ("20260102_030405", "20260203_000000"):
        write(tmp_path / "work" / time / "robustness.json")
    assert find_record(str(tmp_path / "work")).parent.name == "20260203_000000", "the newest"
    write(tmp_path / "work" / "robustness.json")
    assert find_record(str(tmp_path / "work")).parent.name == "work"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty' holds no robustness\.json"):
        find_record(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="'nowhere' is neither a file nor a published baseline"):
        find_record("nowhere")


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [write(tmp_path / "a" / "robustness.json"), write(tmp_path / "b.seed0.test.json")]
    assert [run.name for run in read_runs(given)] == ["a", "b.seed0.test"]
    assert [run.name for run in read_runs(given, ["one", "two"])] == ["one", "two"]
    timed = write(tmp_path / "work" / "20260102_030405" / "robustness.json")
    assert [run.name for run in read_runs([timed, given[0]])] == ["work", "a"]
    monkeypatch.chdir(tmp_path / "a")
    assert [run.name for run in read_runs(["."])] == ["a"]
    alike = [write(tmp_path / "x" / "r.json"), write(tmp_path / "y" / "r.json")]
    assert [run.name for run in read_runs(alike)] == alike
    with pytest.raises(InputError, match="A run is given twice"):
        read_runs([alike[0], alike[0]])
    for names in (["one"], ["one", "one"], ["one", "two", "three"]):
        with pytest.raises(InputError, match="Give 2 different names, one a run"):
            read_runs(given, names)


def test_other_protocols_are_refused_with_what_differs(tmp_path: Path) -> None:
    demo = write(tmp_path / "demo.json")
    with pytest.raises(InputError, match=r"demo version 1, pspnet has cityscapes-c version 1"):
        read_runs([demo, "pspnet"])
    record = made_up_record(0.8)
    old = write(tmp_path / "old.json", protocol={**record["protocol"], "version": 0})
    with pytest.raises(InputError, match=r"demo version 1, .*old\.json has demo version 0"):
        read_runs([demo, old])
    with pytest.raises(InputError, match="demo version 0, this run uses demo version 1"):
        read_runs([old])
    unknown = write(tmp_path / "unknown.json", protocol={"name": "mine", "version": 1})
    with pytest.raises(InputError, match="Unknown protocol 'mine'"):
        read_runs([unknown])
    with pytest.raises(InputError, match="None version None"):
        read_runs([demo, write(tmp_path / "none.json", protocol=None)])


def test_other_classes_are_refused_and_the_order_does_not_count(tmp_path: Path) -> None:
    first = write(tmp_path / "first.json")
    read_runs([first, write(tmp_path / "turned.json", classes=list(CLASSES[::-1]))])
    other = write(tmp_path / "other.json", classes=["road", "sky", "bus"])
    with pytest.raises(InputError, match=r"other has 3, first has 3; not in both are bus, car\."):
        read_runs([first, other])
    many = write(tmp_path / "many.json", classes=[f"c{i}" for i in range(9)])
    with pytest.raises(InputError, match=r"are c0, c1, c2, c3, c4 and 7 more\."):
        read_runs([first, many])


def test_damaged_records_are_refused(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.json"), tmp_path / "bad.json"
    bad.write_text("{")
    with pytest.raises(InputError, match=r"Cannot read the record '.*bad\.json'"):
        read_runs([good, str(bad)])
    bad.write_text(json.dumps({"schema": "other"}))
    with pytest.raises(InputError, match="is no robustness record"):
        read_runs([good, str(bad)])
    bad.write_text(json.dumps({**json.loads(Path(good).read_text()), "corruptions": {}}))
    with pytest.raises(InputError, match=r"lacks 'corruptions\.gaussian_blur\.mIoU'"):
        read_runs([good, str(bad)])


def test_partial_differences(tmp_path: Path) -> None:
    one = write(tmp_path / "one.json")
    same = write(tmp_path / "same.json")
    assert partial_differences(read_runs([one, same])) == []
    other = write(tmp_path / "other.json", num_images=9, run={"seed": 3, "backend": None})
    bare = write(tmp_path / "bare.json", classes=None, num_images=None, run=None)
    assert partial_differences(read_runs([one, other, bare])) == [
        "The runs differ in images: one 5, other 9. They compare only roughly.",
        "The runs differ in seed: one 0, other 3. They compare only roughly.",
        "The classes of bare are not known: check that they agree.",
    ]
