"""Builds the batches of cells from the config of a stock test dataloader."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg_robust.corruptions import Protocol
from mmseg_robust.datasets.clean_images import CleanImages
from mmseg_robust.datasets.corrupted import CorruptedDataset
from mmseg_robust.engine.loops.cell_batches import (
    CellBatches,
    DeviceCells,
    HostCells,
    PlannedBatches,
)
from mmseg_robust.engine.loops.pixel_path import unknown_transforms
from mmseg_robust.errors import InputError

PLACES = ("device", "host")
"""Where cells may be made."""


def build_cells(
    runner: Runner,
    dataloader: dict | DataLoader,
    protocol: Protocol,
    seed: int,
    backend: str,
    size: int,
    pixels: str,
) -> tuple[CellBatches, dict[str, Any]]:
    """The batches, and what of the choice decides the numbers.

    Args:
        runner (Runner): The runner, which builds the data loader.
        dataloader (dict | DataLoader): Config of the stock test dataloader. Where cells are made
            on the device a thread loads, and its settings of workers are not used.
        protocol (Protocol): The protocol.
        seed (int): Seed of the corruptions.
        backend (str): Generator of the corruptions.
        size (int): Largest number of cells in a batch.
        pixels (str): One of ``PLACES``; ``'device'`` is a wish.

    Returns:
        tuple[CellBatches, dict[str, Any]]: The batches and the settings.

    Raises:
        InputError: If the dataloader is built already, cuts off images, or its dataset does not
            fit.
    """
    if isinstance(dataloader, DataLoader):
        raise InputError(
            "RobustnessTestLoop needs test_dataloader as a config, not as a built DataLoader."
        )
    if pixels not in PLACES:
        raise InputError(f"pixels must be one of {', '.join(PLACES)}, got {pixels!r}.")
    config = dict(dataloader)
    if config.pop("num_batch_per_epoch", None) is not None:
        raise InputError(
            "num_batch_per_epoch would cut off cells: choose images with indices=... in the "
            "dataset of test_dataloader instead."
        )
    every_cell = CorruptedDataset(config["dataset"], protocol.name, seed, backend)
    on_device = pixels == "device" and backend == "engine"
    if on_device:
        unknown = unknown_transforms(every_cell.tails)
        if unknown:
            on_device = False
            print_log(
                f"The test pipeline has {', '.join(unknown)}, which the device path does not "
                "know: every cell goes through the pipeline on the host.",
                runner.logger,
                logging.WARNING,
            )
    shared = dict(
        protocol=protocol,
        size=size,
        collate=_collate(config.pop("collate_fn", dict(type="pseudo_collate"))),
        image=every_cell.image,
    )
    settings = dict(
        seed=seed, backend=backend, cells_per_batch=size, pixels=PLACES[0 if on_device else 1]
    )
    if on_device:
        images = CleanImages(every_cell.dataset, protocol.acts)
        return DeviceCells(dataset=images, seed=seed, **shared), settings
    for name in ("sampler", "batch_sampler", "drop_last"):
        config.pop(name, None)
    config.update(
        dataset=every_cell,
        batch_size=1,
        sampler=dict(type="DefaultSampler", shuffle=False),
        batch_sampler=dict(type=PlannedBatches),
        collate_fn=dict(type=_as_it_is),
    )
    loader = runner.build_dataloader(config, seed=runner.seed)
    return HostCells(loader, dataset=every_cell, **shared), settings


def _collate(config: dict) -> Any:
    """The stock collate function."""
    options = dict(config)
    kind = options.pop("type")
    return partial(FUNCTIONS.get(kind) if isinstance(kind, str) else kind, **options)


def _as_it_is(items: list) -> list:
    return items
