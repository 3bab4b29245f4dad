"""Finished parts of a search on disk, so that a killed one goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_robust.errors import InputError
from mmseg_robust.files import read_archive, sweep, write_archive, write_whole

IDENTITY = "identity.json"


class SearchStore:
    """A folder with a file for each finished part, and with what decides the numbers in them.

    Args:
        folder (str | Path): The folder; it is made if it is missing.
        identity (Mapping[str, Any]): What decides the numbers, as JSON can hold it.

    Raises:
        InputError: If the folder belongs to something else or cannot be written.
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        # As it comes back from the file: tuples are lists there.
        self.identity = json.loads(json.dumps(dict(identity)))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep(self.folder)
            self._check_identity()
        except OSError as error:
            raise InputError(f"Cannot write the store {str(self.folder)!r}: {error}") from error

    def _check_identity(self) -> None:
        path = self.folder / IDENTITY
        if not path.exists():
            write_whole(path, (json.dumps(self.identity, indent=1) + "\n").encode())
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                f"{str(path)!r} is damaged: {error}. Delete the folder {str(self.folder)!r}."
            ) from error
        keys = [
            key for key in {**found, **self.identity} if found.get(key) != self.identity.get(key)
        ]
        if keys:
            raise InputError(
                f"The folder {str(self.folder)!r} holds the parts of a search with other settings "
                f"({', '.join(keys)}). Delete it, or name another --out."
            )

    def write(self, part: str, **arrays: Tensor) -> None:
        """Stores a part.

        Args:
            part (str): Its name, that of the file.
            **arrays (Tensor): What it is made of, on the host.

        Raises:
            InputError: If the disk is full or cannot be written.
        """
        path = self.folder / f"{part}.npz"
        try:
            write_archive(path, **{name: np.asarray(value) for name, value in arrays.items()})
        except OSError as error:
            raise InputError(
                f"Cannot write {str(path)!r}: {error}. Make room and give the same command again; "
                "it goes on from here."
            ) from error

    def read(self, part: str) -> dict[str, Tensor] | None:
        """A part.

        Args:
            part (str): Its name.

        Returns:
            dict[str, Tensor] | None: Its arrays; None if it is not finished or its file is damaged.
        """
        try:
            stored = read_archive(self.folder / f"{part}.npz")
        except Exception:  # see read_archive
            return None
        return {name: torch.from_numpy(value) for name, value in stored.items()}
