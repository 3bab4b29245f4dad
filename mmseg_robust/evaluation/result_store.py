"""Results of finished images on disk, so that a killed run loses nothing that it had finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.image_counts import ImageCounts
from mmseg_robust.evaluation.results import ImageResult
from mmseg_robust.files import read_archive, write_archive, write_whole

IDENTITY = "identity.json"


class ResultStore:
    """A folder with one file an image, and with what decides the numbers in them.

    A file is written whole or not at all, and holds check sums: a damaged one is found, and its
    image tested again.

    Args:
        folder (str | Path): The folder; it is made if it is missing.
        identity (Mapping[str, Any]): What decides the numbers, as JSON can hold it. A folder that
            was made with another one is refused.
        num_passes (int): Passes of the protocol.
        kind (type[ImageResult]): What it holds of an image. Defaults to ``ImageCounts``.

    Raises:
        InputError: If the folder belongs to something else or cannot be written.
    """

    def __init__(
        self,
        folder: str | Path,
        identity: Mapping[str, Any],
        num_passes: int,
        kind: type[ImageResult] = ImageCounts,
    ) -> None:
        self.folder = Path(folder)
        self.identity = dict(identity)
        self.num_passes = num_passes
        self.kind = kind
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_identity()
        except OSError as error:
            raise InputError(f"Cannot write the store {str(self.folder)!r}: {error}") from error

    def _check_identity(self) -> None:
        path = self.folder / IDENTITY
        text = json.dumps(self.identity, indent=1, sort_keys=True) + "\n"
        if not path.exists():
            write_whole(path, text.encode())
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                f"{str(path)!r} is damaged: {error}. Delete the folder, or name another store."
            ) from error
        keys = sorted({*found, *self.identity})
        differing = [key for key in keys if found.get(key) != self.identity.get(key)]
        if differing:
            parts = "; ".join(
                f"{key}: {found.get(key)!r} there, {self.identity.get(key)!r} here"
                for key in differing
            )
            raise InputError(
                f"The store {str(self.folder)!r} belongs to another run: {parts}. Delete it, or "
                "name another with test_cfg.store."
            )

    def path(self, index: int) -> Path:
        """File of an image.

        Args:
            index (int): Place of the image in the dataset.

        Returns:
            Path: Its file, which need not exist.
        """
        return self.folder / f"{index:06d}.npz"

    def write(self, index: int, image: ImageResult) -> None:
        """Stores an image.

        Args:
            index (int): Place of the image in the dataset.
            image (ImageResult): Its result.

        Raises:
            InputError: If the disk is full or cannot be written.
        """
        try:
            write_archive(self.path(index), name=np.array(image.name), **image.arrays())
        except OSError as error:
            raise InputError(
                f"Cannot write {str(self.path(index))!r}: {error}. Finished images are safe; make "
                "room and give the same command again."
            ) from error

    def read(self, index: int) -> ImageResult | None:
        """Result of an image.

        Args:
            index (int): Place of the image in the dataset.

        Returns:
            ImageResult | None: The result; None if the image is not finished or its file is
            damaged.
        """
        try:
            stored = read_archive(self.path(index))
            return self.kind.from_arrays(str(stored.pop("name")), stored, self.num_passes)
        except Exception:  # see read_archive
            return None
