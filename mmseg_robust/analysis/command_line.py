"""What the tools for spectra, dominant frequencies and shortcuts have in common."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.utils import ProgressBar

from mmseg_robust.engine.command_line import ToolParser, load_config
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.provenance import package_versions
from mmseg_robust.files import check_writable, write_whole

PICTURES = (".png", ".svg", ".pdf")


class AnalysisParser(ToolParser):
    """Parser with the options that these tools share.

    Args:
        description (str): Text of ``--help``, as it is.
        split (str): Default of ``--split``.
        model (bool): Whether the tool runs a model. Defaults to True.
    """

    def __init__(self, description: str, split: str, model: bool = True) -> None:
        super().__init__(description)
        if model:
            self.add_argument("checkpoint", help="its weights")
            self.add_argument("--device", help="'cpu', 'cuda' or 'cuda:1'; default: CUDA if there")
            self.add_argument(
                "--batch-size", type=int, default=16, metavar="N",
                help="filtered images that go through the model at a time; default: 16",
            )  # fmt: skip
        self.add_argument(
            "--split", default=split,
            help=f"images of train_dataloader, val_dataloader or test_dataloader; default: {split}",
        )  # fmt: skip
        self.add_argument("--seed", type=int, default=0, help="seed of what is drawn; default: 0")


class Bar:
    """A progress bar that appears once it is told how much there is to do."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: ProgressBar | None = None

    def __call__(self, done: int, total: int) -> None:
        """Shows that ``done`` more of ``total`` are done."""
        if self._bar is None:
            print(self._title)
            self._bar = ProgressBar(total)
        if done:
            self._bar.update(done)

    def close(self) -> None:
        """Ends the bar's line."""
        if self._bar is not None:
            print()


def read_config(args: Namespace) -> Config:
    """The config, for a run in one process.

    Args:
        args (Namespace): From an :class:`AnalysisParser`.

    Returns:
        Config: The config.

    Raises:
        InputError: If it cannot be read, or several processes are asked for.
    """
    if args.launcher != "none":
        raise InputError("This tool runs in one process on one device: leave out --launcher.")
    return load_config(args)


def find_device(name: str | None) -> torch.device:
    """A device that is there.

    Args:
        name (str, optional): ``'cpu'``, ``'cuda'`` or ``'cuda:1'``. None for CUDA if it is there.

    Returns:
        torch.device: The device.

    Raises:
        InputError: If torch does not see it.
    """
    known = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name is None:
        return torch.device(known[1] if len(known) > 1 else "cpu")
    if name not in known and not (name == "cuda" and len(known) > 1):
        raise InputError(f"--device is {name!r}; torch sees {', '.join(known)}.")
    return torch.device(name)


def find_outputs(
    out: Path | None, cfg: Config, default: str, kinds: Sequence[str], others: Sequence[str]
) -> Path:
    """The file to write; files beside it have its name and other endings.

    Args:
        out (Path, optional): What was asked for. None for a file in the work folder.
        cfg (Config): The config.
        default (str): Name of the file in the work folder.
        kinds (Sequence[str]): Endings that it may have.
        others (Sequence[str]): Endings of the files beside it.

    Returns:
        Path: The file.

    Raises:
        InputError: If it has another ending, or one of the files cannot be written.
    """
    path = out or Path(cfg.work_dir) / default
    if path.suffix not in kinds:
        raise InputError(f"--out takes a {' or '.join(kinds)} file, got {str(path)!r}.")
    for suffix in (path.suffix, *others):
        check_writable(path.with_suffix(suffix))
    return path


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Writes a record with the versions of the software; what is no number becomes null.

    Args:
        path (Path): The file.
        record (dict[str, Any]): As JSON can hold it.
    """
    text = json.dumps(_plain({**record, "versions": package_versions()}), indent=1)
    write_whole(path, (text + "\n").encode())


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a picture.

    Args:
        figure (Figure): The picture.
        path (Path): The file.

    Raises:
        InputError: If it cannot be written.
    """
    try:
        figure.savefig(path, dpi=110, bbox_inches="tight")
    except (OSError, ValueError) as error:  # a ValueError tells of an unknown extension
        raise InputError(f"Cannot write {str(path)!r}: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
