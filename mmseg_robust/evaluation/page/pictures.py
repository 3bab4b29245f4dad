"""The section of the worst images."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from PIL import Image

from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.page.markup import escape, number, section

Picture = Union[Image.Image, str, os.PathLike[str]]  # `|` between types needs Python 3.10 here
"""A picture, or the path of one."""

TITLES = {"picture": "Picture", "ground_truth": "Ground truth", "prediction": "Prediction"}
LARGEST = 640  # width in pixels of an embedded picture
JPEG_QUALITY = 85


def worst_images(worst: Sequence[Mapping[str, Any]]) -> str:
    """Pictures of the images that the model does worst on, embedded and at most 640 wide.

    Args:
        worst (Sequence[Mapping[str, Any]]): By image ``name``, ``cell``, ``mIoU`` in percent, and
            as :data:`Picture` ``picture``, ``ground_truth`` and ``prediction``; of a classifier
            ``label``, ``predicted`` and ``confidence`` in percent in place of the maps and mIoU.
            Each may be missing.

    Returns:
        str: HTML; empty where there are no images.

    Raises:
        InputError: If a picture cannot be read.
    """
    if not worst:
        return ""
    return section(
        "worst", "Worst images",
        f"<p>Each under the corruption and severity that is named{_explained(worst)}.</p>",
        *(_image(entry) for entry in worst),
    )  # fmt: skip


def _explained(worst: Sequence[Mapping[str, Any]]) -> str:
    if any("predicted" in entry for entry in worst):
        return ", where the prediction was wrong with the most confidence"
    return "; mIoU is that of the image"


def _image(entry: Mapping[str, Any]) -> str:
    name = str(entry.get("name", "unnamed image"))
    facts = []
    if entry.get("cell") is not None:
        facts.append(str(entry["cell"]).replace("_", " "))
    if entry.get("mIoU") is not None:
        facts.append(f"mIoU {number(entry['mIoU'], 1)}")
    if entry.get("predicted") is not None:
        confidence = number(entry.get("confidence"), 1)
        facts += [f"label {entry.get('label')}", f"predicted {entry['predicted']} ({confidence} %)"]
    figures = (
        f'<figure><img src="{_embed(entry[key], key == "picture")}" '
        f'alt="{escape(f"{title} of {name}")}"><figcaption>{title}</figcaption></figure>'
        for key, title in TITLES.items()
        if entry.get(key) is not None
    )
    return (
        f"<article><h3>{escape(name)}</h3><p>{escape(', '.join(facts))}</p>"
        f'<div class="pictures">{"".join(figures)}</div></article>'
    )


def _embed(picture: Picture, photograph: bool) -> str:
    """A picture as a data address: photographs as JPEG, label maps without loss."""
    image = _read(picture)
    if image.width > LARGEST:
        size = (LARGEST, max(1, round(image.height * LARGEST / image.width)))
        # A label map has no colours between those of its classes.
        method = Image.Resampling.BOX if photograph else Image.Resampling.NEAREST
        image = image.resize(size, method)
    buffer = io.BytesIO()
    if photograph:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    else:
        image.save(buffer, "PNG", optimize=True)
    kind = "jpeg" if photograph else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _read(picture: Picture) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    try:
        with Image.open(Path(picture)) as image:
            return image.convert("RGB")
    except OSError as error:
        raise InputError(f"The picture {str(picture)!r} cannot be read: {error}") from error
