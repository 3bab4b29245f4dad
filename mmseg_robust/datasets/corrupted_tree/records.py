"""What a tree keeps about itself: a journal while it is made, a manifest once it is done."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmseg_robust.errors import InputError
from mmseg_robust.files import write_whole

MANIFEST = "manifest.json"
JOURNAL = "progress.jsonl"

SCHEMA = "mmseg_robust.corrupted_tree"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Recipe:
    """What decides the bytes of a corrupted image beside its cell; one for the whole tree.

    Args:
        seed (int): Seed of the corruptions.
        backend (str): Their generator.
        jpeg_quality (int, optional): Of the stored images; None for lossless PNG.
        device (str): ``'cpu'`` or ``'cuda'``, which may differ by a grey level.
        version (str): Version of ``mmseg_robust``.

    Raises:
        InputError: If the quality is out of range.
    """

    seed: int
    backend: str
    jpeg_quality: int | None
    device: str
    version: str

    def __post_init__(self) -> None:
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise InputError(f"The JPEG quality must be 1 to 100, got {self.jpeg_quality}.")

    def check_same(self, earlier: Recipe, out: Path) -> None:
        """Refuses to go on with a tree that was begun in another way.

        Args:
            earlier (Recipe): That of the tree.
            out (Path): The tree, for the message.

        Raises:
            InputError: Naming what differs.
        """
        old, new = asdict(earlier), asdict(self)
        differing = [f"{key} {old[key]!r}, now {new[key]!r}" for key in old if old[key] != new[key]]
        if differing:
            raise InputError(
                f"{str(out)!r} was begun with {'; '.join(differing)}. Use the same, or another "
                "folder."
            )


@dataclass
class Records:
    """What is known about a tree.

    Args:
        recipe (Recipe, optional): None for a new tree.
        protocols (dict[str, int]): Versions of the protocols that it was made for, by name.
        files (dict[str, str]): SHA-256 of the images by path under the tree, with slashes.
        unreadable (list[str]): A message for each source image that is not in the tree.
    """

    recipe: Recipe | None = None
    protocols: dict[str, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def read_records(out: Path) -> Records:
    """Reads the manifest of an earlier run and the journal of one that was stopped.

    Args:
        out (Path): The tree, which may not exist.

    Returns:
        Records: Empty for a new tree.

    Raises:
        InputError: If one of the two is not what it should be.
    """
    records = Records()
    if (out / MANIFEST).exists():
        _take(records, read_manifest(out))
    if (out / JOURNAL).exists():
        for line in (out / JOURNAL).read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # an empty line, or the one that a kill or a full disk cut off
                continue
            _take(records, entry)
    return records


def read_manifest(out: Path) -> dict[str, Any]:
    """Reads the manifest of a tree.

    Args:
        out (Path): The tree.

    Returns:
        dict[str, Any]: The manifest.

    Raises:
        InputError: If it is missing or damaged.
    """
    path = out / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the manifest {str(path)!r}: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise InputError(f"{str(path)!r} is not the manifest of a corrupted tree.")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{str(path)!r} was written by another version of the converter.")
    return manifest


def _take(records: Records, entry: dict[str, Any]) -> None:
    """Adds what a manifest or a line of the journal says."""
    if "recipe" in entry:
        records.recipe = Recipe(**entry["recipe"])
    records.protocols.update(entry.get("protocols", {}))
    records.files.update(entry.get("files", {}))


class Journal:
    """Append-only log of the finished files, which several processes write at a time.

    Args:
        out (Path): The tree.
    """

    def __init__(self, out: Path) -> None:
        self._handle = os.open(out / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, entry: dict[str, Any]) -> None:
        """Adds a line in one write, which the system does not mix with another process's.

        Args:
            entry (dict[str, Any]): Any part of what a manifest holds.

        Raises:
            OSError: If it cannot be written.
        """
        # It begins with the line's end, so that it cannot join one that was cut off.
        line = f"\n{json.dumps(entry)}".encode()
        if os.write(self._handle, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Closes the file."""
        os.close(self._handle)


def write_manifest(out: Path, records: Records, facts: dict[str, Any]) -> None:
    """Writes the manifest; then the journal is no longer needed.

    Args:
        out (Path): The tree.
        records (Records): What it holds.
        facts (dict[str, Any]): What else to keep, such as versions of packages.
    """
    assert records.recipe is not None
    manifest = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "recipe": asdict(records.recipe),
        "protocols": records.protocols,
        **facts,
        "unreadable": records.unreadable,
        "files": dict(sorted(records.files.items())),
    }
    write_whole(out / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    (out / JOURNAL).unlink(missing_ok=True)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Makes the folder of a tree and keeps other processes from writing to it.

    The lock is the system's and ends with the process. A folder that stays empty is removed.

    Args:
        out (Path): The tree.

    Raises:
        InputError: If the folder cannot be made or another process writes to it.
    """
    import fcntl  # not on Windows, where manifests can be read all the same

    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"Cannot write to {str(out)!r}: {error}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise InputError(f"Another process is writing to {str(out)!r}.") from error
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        if not any(out.iterdir()):
            out.rmdir()
        os.close(handle)
