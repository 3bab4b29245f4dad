"""Files that are whole or absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmseg_robust.errors import InputError
from mmseg_robust.files import (
    PART,
    check_writable,
    read_archive,
    sweep,
    write_archive,
    write_whole,
)


def test_check_writable(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "o.json")
    assert (tmp_path / "new").is_dir()
    with pytest.raises(InputError, match="it is a folder"):
        check_writable(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        check_writable(tmp_path / "file" / "o.json")


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    write_whole(path, b"first")
    assert path.read_bytes() == b"first"

    def fail() -> None:
        assert list(path.parent.glob(f"*{PART}"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"second", before=fail)
    assert [file.name for file in path.parent.iterdir()] == ["a.bin"]
    assert path.read_bytes() == b"first"


def test_sweep_takes_what_was_left_half_written(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in (f"a.1{PART}", f"below/b.2{PART}", "c.bin"):
        (tmp_path / name).write_bytes(b"x")
    sweep(tmp_path)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["c.bin"]


def test_archives(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.npz", numbers=np.arange(5), name=np.array("x"))
    found = read_archive(tmp_path / "a.npz")
    assert found["numbers"].tolist() == [0, 1, 2, 3, 4] and str(found["name"]) == "x"
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[90] ^= 255  # among the compressed numbers
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(Exception):  # noqa: B017  (of many kinds, as its docstring says)
        read_archive(tmp_path / "a.npz")
