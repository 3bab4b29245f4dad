"""The corrupted copy of a data set: right pixels, no file lost or made twice, nothing half."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from colour_runs import scene
from load_tool import load_tool
from PIL import Image

import mmseg_robust
from mmseg_robust.corruptions import Cell, image_seed
from mmseg_robust.corruptions.backends import BACKENDS
from mmseg_robust.datasets.corrupted_tree import maker, records, space, verify
from mmseg_robust.datasets.corrupted_tree.records import JOURNAL, MANIFEST, locked
from mmseg_robust.datasets.corrupted_tree.sources import read_image
from mmseg_robust.errors import InputError
from mmseg_robust.files import PART

tool = load_tool("dataset_converters/corrupt_dataset.py")
NOISES = ("gaussian_noise", "impulse_noise")
CELLS = tuple(Cell(name, severity) for name in NOISES for severity in (1, 4))
ASK = ["--corruptions", *NOISES, "--severities", "1", "4", "--workers", "0"]
SIZES = {"a/0.png": (48, 64), "a/1.png": (48, 64), "b/2.jpg": (33, 47), "b/3.png": (48, 64)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four images in two folders, of two sizes, and a file that is no image."""
    for number, (name, size) in enumerate(SIZES.items()):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(number, *size)[0]).save(path)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


def convert(source: Path, out: Path, *options: Any, ask: list[str] = ASK) -> int:
    return tool.main(["--source", str(source), "--out", str(out), *ask, *map(str, options)])


def images(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name not in (MANIFEST, JOURNAL)
    }


def written(out: Path) -> dict[str, int]:
    return {name: (out / name).stat().st_mtime_ns for name in images(out)}


def rgb(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_the_tree_holds_the_cells_without_loss(source: Path, tmp_path: Path, backend: str) -> None:
    out = tmp_path / "out"
    assert convert(source, out, "--seed", 5, "--backend", backend) == 0
    expected = {
        f"{cell}/{Path(name).with_suffix('.png')}"
        for name in SIZES
        for cell in (*map(str, CELLS), "clean")
    }
    assert set(images(out)) == expected
    for name in SIZES:
        # What a data pipeline would decode: JPEG decoders may differ by a grey level.
        clean = cv2.imread(str(source / name))[..., ::-1]
        stored = Path(name).with_suffix(".png")
        np.testing.assert_array_equal(rgb(out / "clean" / stored), clean)
        for cell in CELLS:
            made = BACKENDS[backend].corrupt(clean, *cell, image_seed(5, name))
            np.testing.assert_array_equal(rgb(out / str(cell) / stored), made)


def test_the_manifest_tells_what_was_made(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert convert(source, out, "--seed", 3) == 0
    manifest = json.loads((out / MANIFEST).read_text())
    recipe = dict(
        seed=3, backend="engine", jpeg_quality=None, device="cpu", version=mmseg_robust.__version__
    )
    assert manifest["recipe"] == recipe
    assert manifest["source"] == str(source)
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["unreadable"] == []
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in images(out).items()}
    assert manifest["files"] == digests
    assert not (out / JOURNAL).exists()


def test_batches_change_nothing(source: Path, tmp_path: Path) -> None:
    trees = []
    for number, options in enumerate((["--batch-size", 3], ["--batch-size", 1])):
        out = tmp_path / str(number)
        assert convert(source, out, *options) == 0
        trees.append(images(out))
    assert trees[0] == trees[1]


def test_a_second_run_writes_what_is_missing_and_nothing_else(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert convert(source, out) == 0
    before, times = images(out), written(out)
    assert convert(source, out) == 0
    assert written(out) == times
    lost = out / "impulse_noise/4/a/1.png"
    lost.unlink()
    assert convert(source, out) == 0
    assert images(out) == before
    times.pop("impulse_noise/4/a/1.png")
    assert {name: time for name, time in written(out).items() if name in times} == times


def test_cells_can_be_added(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert convert(source, out) == 0
    times = written(out)
    assert convert(source, out, ask=["--corruptions", "shot_noise", "--workers", "0"]) == 0
    assert len(images(out)) == 4 * (5 + 5)
    assert {name: time for name, time in written(out).items() if name in times} == times
    assert tool.main(["--out", str(out), "--verify"]) == 0


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    """The first process is killed outright, with two others at work."""
    source, out = tmp_path / "images", tmp_path / "out"
    source.mkdir()
    for number in range(24):
        Image.fromarray(scene(number, 160, 200)[0]).save(source / f"{number}.png")
    options = ["--source", str(source), "--out", str(out), "--corruptions", *NOISES]
    # Forked, so that it has this process's imports already.
    command = ([*options, "--workers", "2"],)
    process = multiprocessing.get_context("fork").Process(target=tool.main, args=command)
    process.start()
    deadline = time.monotonic() + 120
    while not (out / JOURNAL).exists() or (out / JOURNAL).read_text().count("png") < 8:
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.join()
    stable = -1.0
    while stable != (stable := (out / JOURNAL).stat().st_mtime):
        time.sleep(0.5)  # the others end by themselves
    assert not (out / MANIFEST).exists()
    known = records.read_records(out).files
    left = {name: data for name, data in images(out).items() if not name.endswith(PART)}
    assert 8 <= len(left) < 24 * 11
    assert all(known[name] == hashlib.sha256(data).hexdigest() for name, data in left.items())
    assert tool.main(["--out", str(out), "--verify"]) == 2
    times = {name: when for name, when in written(out).items() if name in left}
    assert tool.main([*options, "--workers", "0"]) == 0
    assert {name: when for name, when in written(out).items() if name in left} == times
    assert len(images(out)) == 24 * 11
    assert tool.main(["--out", str(out), "--verify"]) == 0
    whole = tmp_path / "whole"
    assert convert(source, whole, ask=["--corruptions", *NOISES, "--workers", "0"]) == 0
    assert images(whole) == images(out)


def test_ctrl_c_leaves_nothing_half_and_can_be_continued(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"

    def interrupt(self: Any, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tool.Bar, "__call__", interrupt)
        assert convert(source, out) == 130
    assert "goes on from here" in capsys.readouterr().err
    assert 0 < len(images(out)) < 20
    assert not list(out.rglob(f"*{PART}"))
    assert convert(source, out) == 0
    assert tool.main(["--out", str(out), "--verify"]) == 0


@pytest.mark.parametrize("where", ["image", "journal", "manifest"])
def test_a_full_disk(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture, where: str,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    write_bytes, write, count = Path.write_bytes, os.write, [0]

    def failing_file(self: Path, data: bytes) -> int:
        count[0] += 1
        if (where == "image" and count[0] > 6) or self.name.startswith(MANIFEST):
            write_bytes(self, data[: len(data) // 2])
            raise full
        return write_bytes(self, data)

    def short_write(handle: int, data: bytes) -> int:
        is_journal = data.startswith(b"\n{")
        count[0] += is_journal
        return write(handle, data[: len(data) // 2] if is_journal and count[0] > 6 else data)

    with monkeypatch.context() as patch:
        if where == "journal":
            patch.setattr(os, "write", short_write)
        else:
            patch.setattr(Path, "write_bytes", failing_file)
        assert convert(source, out) == 1
    message = capsys.readouterr().err
    assert "No space left on device" in message and "the same command goes on" in message
    assert not list(out.rglob(f"*{PART}")) and not (out / MANIFEST).exists()
    known = records.read_records(out).files
    left = images(out)
    assert len(left) == (20 if where == "manifest" else len(left)) > 0
    assert all(known[name] == hashlib.sha256(data).hexdigest() for name, data in left.items())
    times = written(out)
    assert convert(source, out) == 0
    assert {name: when for name, when in written(out).items() if name in times} == times
    assert tool.main(["--out", str(out), "--verify"]) == 0


def test_unreadable_images_are_named_and_the_rest_goes_on(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    whole = {name: (source / name).read_bytes() for name in ("a/0.png", "b/2.jpg")}
    (source / "a/0.png").write_bytes(b"no image at all")
    (source / "b/2.jpg").write_bytes(whole["b/2.jpg"][:-300])
    Image.fromarray(scene(0, 20, 64)[0]).save(source / "small.png")
    assert convert(source, out) == 1
    errors = capsys.readouterr().err
    for name in ("a/0.png", "b/2.jpg", "small.png"):
        assert f"not made: {source / name}" in errors
    assert len(images(out)) == 2 * 5
    assert tool.main(["--out", str(out), "--verify"]) == 1
    assert f"not made: {source / 'small.png'}: An image to corrupt" in capsys.readouterr().out
    for name, data in whole.items():
        (source / name).write_bytes(data)
    (source / "small.png").unlink()
    assert convert(source, out) == 0
    assert len(images(out)) == 4 * 5


def test_truncated_images_are_found_where_opencv_reads_them(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source / "b/2.jpg"
    decoded = cv2.imread(str(path))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: decoded)  # OpenCV 4 would give most of it
    np.testing.assert_array_equal(read_image(path), decoded)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"2\.jpg cannot be read: .*truncated"):
        read_image(path)


def test_verify_names_what_is_wrong(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    assert convert(source, out) == 0
    assert verify(out, 2) == []
    (out / "clean/a/0.png").unlink()
    altered = out / "gaussian_noise/1/b/3.png"
    altered.write_bytes(altered.read_bytes()[:-1] + b"x")
    (out / "fog").mkdir()
    (out / "fog/extra.png").write_bytes(b"")
    capsys.readouterr()
    assert tool.main(["--out", str(out), "--verify"]) == 1
    printed = capsys.readouterr().out
    for line in ("missing: clean/a/0.png", "altered: gaussian_noise/1/b/3.png", "3 problems"):
        assert line in printed
    assert "surplus: fog/extra.png" in printed


def test_jpeg_on_demand(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert convert(source, out, "--jpeg-quality", 90) == 0
    assert (out / "clean/a/0.png").is_file(), "clean images lose nothing"
    png = tmp_path / "png"
    assert convert(source, png) == 0
    exact = cv2.imread(str(png / "gaussian_noise/1/a/0.png"))
    expected = cv2.imdecode(cv2.imencode(".jpg", exact, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], 1)
    stored = cv2.imread(str(out / "gaussian_noise/1/a/0.jpg"))
    np.testing.assert_array_equal(stored, expected)
    assert not np.array_equal(stored, exact)
    assert tool.main(["--out", str(out), "--verify"]) == 0


def test_the_space_is_estimated(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    usage = shutil.disk_usage(tmp_path)

    def nearly_full(path: Path) -> Any:
        return usage._replace(free=50_000)

    monkeypatch.setattr(space.shutil, "disk_usage", nearly_full)
    assert convert(source, out) == 2
    assert "50.0 kB are free" in capsys.readouterr().err
    assert not out.exists()
    assert convert(source, out, "--force") == 0
    estimate = float(capsys.readouterr().out.split("about ")[1].split(" kB")[0]) * 1000
    size = sum(len(data) for data in images(out).values())
    assert abs(estimate / size - 1) < 0.25


@pytest.mark.parametrize(
    "options, message",
    [
        (["--seed", 1], "seed 0, now 1"),
        (["--backend", "imagecorruptions"], "backend 'engine', now 'imagecorruptions'"),
        (["--jpeg-quality", 80], "jpeg_quality None, now 80"),
    ],
)
def test_a_tree_has_one_recipe(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture, options: list, message: str
) -> None:
    out = tmp_path / "out"
    assert convert(source, out) == 0
    times = written(out)
    assert convert(source, out, *options) == 2
    assert message in capsys.readouterr().err
    assert written(out) == times
    assert tool.main(["--out", str(out), "--verify"]) == 0


def test_two_runs_at_a_time(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with locked(tmp_path / "out"):
        assert convert(source, tmp_path / "out") == 2
    assert "Another process is writing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "ask, message",
    [
        (["--corruptions", "fogg"], "Did you mean 'fog'"),
        (["--corruptions", "shot_noise", "--severities", "7"], "integer from 0"),
        (["--protocol", "demos"], "Did you mean 'demo'"),
        (["--protocol", "imagenet-c"], "after resize and crop"),
        (["--protocol", "demo", "--corruptions", "fog"], "either --protocol or --corruptions"),
        ([], "either --protocol or --corruptions"),
        (["--protocol", "demo", "--backend", "wand"], "Unknown --backend"),
        (["--corruptions", "sparkles", "--backend", "imagecorruptions"], "has no sparkles"),
        (["--protocol", "demo", "--device", "cuda:99"], "--device cuda:99: torch sees cpu"),
        (["--protocol", "demo", "--workers", "-1"], "--workers must be 0 or more"),
        (["--protocol", "demo", "--batch-size", "0"], "--batch-size 1 or more"),
        (["--protocol", "demo", "--severities", "3"], "a protocol has its own"),
        (["--protocol", "demo", "--jpeg-quality", "0"], "must be 1 to 100"),
    ],
)
def test_wrong_options(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture, ask: list[str], message: str
) -> None:
    assert convert(source, tmp_path / "out", ask=ask) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_wrong_folders(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for wrong in (tmp_path / "none", source / "a/0.png"):
        assert convert(wrong, tmp_path / "out") == 2
        assert "There is no folder of images" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert convert(tmp_path / "empty", tmp_path / "out") == 2
    assert "holds no image" in capsys.readouterr().err
    for out in (source, source / "out", source.parent):
        assert convert(source, out) == 2
        assert "must not lie in each other" in capsys.readouterr().err
    Image.fromarray(scene(0)[0]).save(source / "a/0.bmp")
    assert convert(source, tmp_path / "out") == 2
    assert "'a/0.bmp' and 'a/0.png'" in capsys.readouterr().err
    assert tool.main(["--out", str(tmp_path / "empty"), "--verify"]) == 2
    assert "Cannot read the manifest" in capsys.readouterr().err
    assert tool.main(["--out", str(tmp_path / "empty"), *ASK]) == 2
    assert "--source is needed" in capsys.readouterr().err


def test_too_little_memory_on_the_device_says_what_to_do(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"

    def full(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(maker.Maker, "_corrupt_batch", full)
        assert convert(source, out, "--batch-size", 2) == 1
    assert "2 images at a time: give a smaller --batch-size" in capsys.readouterr().err
    assert not (out / MANIFEST).exists()
    assert convert(source, out, "--batch-size", 1) == 0
    assert tool.main(["--out", str(out), "--verify"]) == 0


def test_a_folder_that_holds_something_else_is_left_alone(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Such as a tree that another program has made in the same layout."""
    out = tmp_path / "out"
    for name in ("clean/a/0.png", "download.part"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"precious")
    assert convert(source, out) == 2
    assert "was not made by this converter" in capsys.readouterr().err
    assert images(out) == {"clean/a/0.png": b"precious", "download.part": b"precious"}


@pytest.mark.gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_on_a_gpu(source: Path, tmp_path: Path, workers: int) -> None:
    out, cpu = tmp_path / "out", tmp_path / "cpu"
    ask = ["--corruptions", *NOISES, "--severities", "1", "4", "--workers"]
    assert convert(source, out, "--device", "cuda", ask=[*ask, str(workers)]) == 0
    assert tool.main(["--out", str(out), "--verify"]) == 0
    assert convert(source, cpu) == 0
    assert set(images(out)) == set(images(cpu))
    for name in images(cpu):
        near = np.abs(rgb(out / name).astype(int) - rgb(cpu / name)) <= 1
        assert near.mean() > 0.999
