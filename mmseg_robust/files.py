"""Files that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmseg_robust.errors import InputError

PART = ".part"
"""End of the name of a file that is being written."""


def check_writable(path: str | Path) -> None:
    """Makes the folder of a file that is to be written after a long run.

    Args:
        path (str | Path): The file.

    Raises:
        InputError: If the file cannot be written there.
    """
    path = Path(path).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write {str(path)!r}: {error}") from error
    if not os.access(path.parent, os.W_OK) or path.is_dir():
        raise InputError(f"Cannot write {str(path)!r}: no permission, or it is a folder.")


def write_whole(path: str | Path, data: bytes, before: Callable[[], None] = lambda: None) -> None:
    """Writes a file so that it is whole or absent, or as it was.

    Args:
        path (str | Path): The file; its folder is made.
        data (bytes): Its content.
        before (Callable): Called when all is written, before the file appears.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    try:
        part.write_bytes(data)
        before()
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Removes what killed processes left half-written. No other process may be writing.

    Args:
        folder (Path): The folder, with all below it.
    """
    for part in folder.rglob(f"*{PART}"):
        part.unlink()


def write_archive(path: str | Path, **arrays: np.ndarray) -> None:
    """Writes arrays as a compressed NumPy archive, whole or not at all.

    Args:
        path (str | Path): The file; its folder is made.
        **arrays (np.ndarray): The arrays by name.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_whole(path, buffer.getvalue())


def read_archive(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a NumPy archive, check sums included.

    Args:
        path (str | Path): The file.

    Returns:
        dict[str, np.ndarray]: The arrays by name.

    Raises:
        Exception: If it is missing or damaged: zipfile, zlib, NumPy and tokenize have many kinds.
    """
    with zipfile.ZipFile(path) as archive:  # NumPy alone does not always see a wrong check sum
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"{damaged} is damaged")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
