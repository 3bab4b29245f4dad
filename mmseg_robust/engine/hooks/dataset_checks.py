"""Find what is wrong with a data set before a run trips over it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from mmseg_robust.errors import InputError

# Images and labels read from each data set before the start; the project's own choice: about a
# second on Cityscapes, and a wrong conversion shows in nearly every file.
SAMPLED_LABELS = 16


def leaf_configs(config: Any) -> Iterator[dict]:
    """Yield the configs of the data sets inside wrappers such as ``RepeatDataset``.

    Args:
        config (dict): The ``dataset`` of a data loader config.
    """
    if not isinstance(config, dict):  # a data set that the user built; checked once the run starts
        return
    inner = [config["dataset"]] if "dataset" in config else list(config.get("datasets", ()))
    if not inner:
        yield config
    for child in inner:
        yield from leaf_configs(child)


def leaf_datasets(dataset: Any) -> Iterator[BaseDataset]:
    """Yield the segmentation data sets inside a built data set and its wrappers."""
    inner = [dataset.dataset] if hasattr(dataset, "dataset") else getattr(dataset, "datasets", ())
    if not inner and _is_segmentation(type(dataset)):
        yield dataset
    for child in inner:
        yield from leaf_datasets(child)


def find_loaders(transforms: Any, name: str = "LoadAnnotations") -> Iterator[Any]:
    """Yield the transforms of a pipeline that load labels, nested ones included.

    Args:
        transforms (sequence): Transforms or their configs.
        name (str): How the name of the wanted class ends.
    """
    for transform in transforms:
        if isinstance(transform, (list, tuple)):
            yield from find_loaders(transform, name)
            continue
        if isinstance(transform, dict):
            kind, nested = transform.get("type"), transform.get("transforms")
        else:
            kind, nested = type(transform), getattr(transform, "transforms", None)
            nested = nested or getattr(transform, "subroutines", None)  # TestTimeAug
        if str(getattr(kind, "__name__", kind)).endswith(name):
            yield transform
        yield from find_loaders(nested or (), name)


def check_dataset_config(config: dict) -> None:
    """Check that the folders of a data set exist and hold images, before it is built.

    The stock classes fail in the middle of listing a folder, and an empty data set makes the
    stock sampler wait for ever.

    Args:
        config (dict): Config of one data set (no wrapper).

    Raises:
        InputError: Names the first folder or file that is missing.
    """
    name, root = _type_name(config), config.get("data_root") or ""
    if _is_remote(root, config.get("backend_args")):
        return
    advice = f"Put the data set there or set 'data_root' (now '{root}') in the config."
    if root and not os.path.isdir(root):
        raise InputError(f"{name}: the data root '{root}' is not a folder. {advice}")
    for key, prefix in (config.get("data_prefix") or {}).items():
        folder = os.path.join(root, prefix or "")
        needed = key != "seg_map_path" or any(find_loaders(config.get("pipeline") or ()))
        if needed and folder and not os.path.isdir(folder):
            raise InputError(f"{name}: the folder '{folder}' ({key}) is missing. {advice}")
    listing = config.get("ann_file")
    if listing and not os.path.exists(os.path.join(root, listing)):
        path = os.path.join(root, listing)
        raise InputError(f"{name}: the list of images '{path}' (ann_file) is missing. {advice}")
    if _is_segmentation(_find_class(config)):
        # Not serialised: that fails for an empty list.
        check_not_empty(DATASETS.build({**config, "pipeline": [], "serialize_data": False}))


def check_not_empty(dataset: BaseDataset) -> None:
    """Raise an InputError if a built data set lists no images."""
    if len(dataset) == 0:
        where = dataset.ann_file or dataset.data_prefix.get("img_path")
        raise InputError(
            f"{type(dataset).__name__}: no images '*{dataset.img_suffix}' in '{where}'. Put the "
            "data set there or correct data_root, data_prefix and img_suffix in the config."
        )


def check_files(dataset: BaseDataset) -> None:
    """Check that every image and every label that the pipeline loads is there.

    Args:
        dataset (BaseSegDataset): A built data set.

    Raises:
        InputError: Names the first file that is missing and how many are.
    """
    check_not_empty(dataset)
    if _is_remote(dataset.data_root or "", dataset.backend_args):
        return
    keys = ["img_path"]
    if any(find_loaders(dataset.pipeline.transforms)):
        keys.append("seg_map_path")
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    paths = [info[key] for info in infos for key in keys if info.get(key)]
    missing = list(_missing(paths))
    if missing:
        raise InputError(
            f"{type(dataset).__name__}: the file '{missing[0]}' is missing "
            f"({len(missing)} of {len(paths)} files are). Complete the data set under "
            f"'{dataset.data_root}' or correct data_prefix and the suffixes in the config."
        )


def _missing(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths without a file; lists each folder once, which network drives need."""
    listed: dict[str, set[str]] = {}
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in listed:
            listed[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        if name not in listed[folder]:
            yield path


def check_sampled_labels(dataset: BaseDataset, classes: int, ignore_index: int) -> None:
    """Check some labels and their images, evenly spaced, as the data set itself loads them.

    Args:
        dataset (BaseSegDataset): A built data set.
        classes (int): Number of classes of the model.
        ignore_index (int): Label value that the loss leaves out.

    Raises:
        InputError: If one cannot be read, the label has channels or another size than its image, or
            it holds another value.
    """
    transforms = dataset.pipeline.transforms
    loader = next(find_loaders(transforms), None)
    if loader is None:
        return
    image_loader = next(find_loaders(transforms, "LoadImageFromFile"), None)
    count = min(SAMPLED_LABELS, len(dataset))
    for index in np.linspace(0, len(dataset) - 1, count).round().astype(int):
        results = _load(loader, dataset.get_data_info(int(index)), "seg_map_path")
        if "gt_seg_map" not in results:  # a loader of another task's labels
            return
        label, path = results["gt_seg_map"], results["seg_map_path"]
        if label.ndim != 2:
            raise InputError(
                f"The label '{path}' has the shape {label.shape}: one channel of class numbers is "
                "needed. Convert colours to class numbers."
            )
        if image_loader is not None:
            image = _load(image_loader, dataset.get_data_info(int(index)), "img_path")
            _check_size(image, label.shape, path)
        labels = torch.from_numpy(np.ascontiguousarray(label).astype(np.int64))
        check_label_values(labels, classes, ignore_index, path)


def _load(loader: Any, info: dict, key: str) -> dict:
    """Load an image or a label; what it raises names the file."""
    path = info.get(key)
    try:
        results = loader(info)
    except Exception as error:  # each decoder has errors of its own
        raise InputError(
            f"The file '{path}' cannot be read: {type(error).__name__}: {error}. Replace it."
        ) from error
    if results is None:  # LoadImageFromFile(ignore_empty=True)
        raise InputError(f"The file '{path}' cannot be read. Replace it.")
    return results


def _check_size(results: dict, size: tuple[int, ...], label_path: str) -> None:
    found = results["img"].shape[:2]
    if found != size:
        raise InputError(
            f"The label '{label_path}' is {size[1]}x{size[0]} pixels, its image "
            f"'{results['img_path']}' {found[1]}x{found[0]}: they must have the same size."
        )


def check_label_values(
    labels: torch.Tensor, classes: int, ignore_index: int, path: str | None
) -> None:
    """Check that labels hold class numbers and the ignored value alone.

    Args:
        labels (Tensor): Integer labels of any shape.
        classes (int): Number of classes; allowed are 0 to ``classes - 1``.
        ignore_index (int): Also allowed.
        path (str, optional): The file to name.

    Raises:
        InputError: Names the file, the values and what is allowed.
    """
    wrong = (labels < 0) | ((labels >= classes) & (labels != ignore_index))
    if not wrong.any():
        return
    values = ", ".join(map(str, torch.unique(labels[wrong])[:5].tolist()))
    raise InputError(
        f"The label '{path}' holds the value {values}: allowed are 0 to {classes - 1} and "
        f"{ignore_index} (ignored). Convert the labels to class numbers, or set num_classes, "
        "ignore_index or reduce_zero_label in the config."
    )


def _is_remote(root: str, backend_args: Any) -> bool:
    """Whether files are read by another way than this machine's file system."""
    return bool(backend_args) or "://" in root


def _type_name(config: dict) -> str:
    return str(getattr(config.get("type"), "__name__", config.get("type")))


def _find_class(config: dict) -> Any:
    kind = config.get("type")
    with DATASETS.switch_scope_and_registry(None) as registry:  # that of the default scope
        return registry.get(kind) if isinstance(kind, str) else kind


def _is_segmentation(kind: Any) -> bool:
    """Whether a class is a segmentation data set; by name, as MMSegmentation may be absent."""
    return any(base.__name__ == "BaseSegDataset" for base in getattr(kind, "__mro__", ()))
