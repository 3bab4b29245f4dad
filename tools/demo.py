"""The whole job in miniature: draw scenes, train plain and with CWFA, measure both, show it.

Everything is left in one folder; parts that are finished are not repeated.

Example:
    python tools/demo.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import mmcv
import numpy as np
from mmseg.apis import inference_model, init_model
from mmseg.datasets import CityscapesDataset

from mmseg_robust.corruptions import corrupt_reference, get_protocol, image_seed
from mmseg_robust.evaluation.baseline import read_baseline
from mmseg_robust.evaluation.robustness_metrics import Robustness, corruption_errors

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = {
    "plain": "configs/demo/segformer_mit-b0_1xb4-500_synthetic-streets-128x128.py",
    "CWFA": "configs/demo/segformer_mit-b0-cwfa_1xb4-500_synthetic-streets-128x128.py",
}
SCENES = dict(train=120, val=20)
# Cells of the demo protocol that the picture shows, one a row under the clean scene.
SHOWN = (("gaussian_noise", 4), ("contrast", 4), ("fog", 4))
SHOWN_SCENE = 3
# A container's quota of CPU time cannot be seen; more threads than it allows would crawl.
MOST_THREADS = 4


def environment(threads: int) -> dict[str, str]:
    """Variables of a child process: this checkout on the path, and its share of the cores."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    count = str(threads)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}


def start(work: Path, name: str, tool: str, arguments: list[str]) -> subprocess.Popen:
    """Start tools/TOOL.py for one of the two models; its output goes to a log file."""
    data = work / "data"
    options = [f"{part}_dataloader.dataset.data_root={data}" for part in ("train", "test")]
    if tool == "test":
        options += [
            f"test_cfg.out_file={record(work, name)}",
            f"test_dataloader.dataset.indices={SCENES['val']}",
        ]
    command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), str(ROOT / CONFIGS[name])]
    command += [*arguments, "--work-dir", str(work / name), "--cfg-options", *options]
    threads = max(1, min(available_cores() // len(CONFIGS), MOST_THREADS))
    with open(work / f"{name}.{tool}.log", "a") as log:
        return subprocess.Popen(command, env=environment(threads), stdout=log, stderr=log)


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def record(work: Path, name: str) -> Path:
    """The robustness record of a model."""
    return work / f"{name}.json"


def last_progress(log: Path) -> str:
    """The part of the last progress line that fits beside another one."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if "Iter(" in line]
    if not lines:
        return "starting"
    line = lines[-1]
    counter = line[line.index("[") + 1 : line.index("]")].replace(" ", "")
    loss = line.partition("  loss: ")[2].split("  ")[0]
    return counter + (f" loss {loss}" if loss else "")


def run_side_by_side(work: Path, tool: str, jobs: dict[str, list[str]]) -> None:
    """Run one tool for the models at the same time, showing how far each is.

    Raises:
        SystemExit: If one of them fails; the end of its log is shown.
    """
    begin = time.time()
    children = {name: start(work, name, tool, arguments) for name, arguments in jobs.items()}
    logs = {name: work / f"{name}.{tool}.log" for name in jobs}
    try:
        shown = 0.0
        # One that fails ends the other too.
        while (states := [child.poll() for child in children.values()]).count(None) and not any(
            states
        ):
            time.sleep(0.5)
            if time.time() - shown >= 15:
                shown = time.time()
                parts = ", ".join(f"{name} {last_progress(logs[name])}" for name in jobs)
                print(f"  {time.time() - begin:4.0f} s  {parts}", flush=True)
    finally:
        for child in children.values():
            child.terminate()
    for name, state in zip(jobs, states):
        if state:
            end = "\n".join(logs[name].read_text(errors="replace").splitlines()[-15:])
            sys.exit(f"{end}\nerror: {tool} of {name} failed; all of it is in {logs[name]}")


def draw_scenes(work: Path) -> None:
    """Draw the data set; scenes that are there are kept."""
    print(f"[1/4] Drawing {SCENES['train']} + {SCENES['val']} street scenes", flush=True)
    command = [sys.executable, str(ROOT / "tools/dataset_converters/synthetic_streets.py")]
    command += ["--out", str(work / "data")]
    command += [f"--{split}={count}" for split, count in SCENES.items()]
    done = subprocess.run(command, env=environment(1), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stderr[-3000:]}\nerror: the scenes could not be drawn")


def train(work: Path) -> None:
    """Train both models; a run that was stopped goes on where it was."""
    missing = {name: ["--resume"] for name in CONFIGS if not (work / f"{name}.trained").exists()}
    print(f"[2/4] Training SegFormer-B0: {' and '.join(missing) or 'done already'}", flush=True)
    if missing:
        run_side_by_side(work, "train", missing)
    for name in missing:
        (work / f"{name}.trained").touch()


def checkpoint(work: Path, name: str) -> str:
    """Path of a model's last checkpoint."""
    return (work / name / "last_checkpoint").read_text().strip()


def measure(work: Path) -> None:
    """Measure both models on clean and corrupted scenes."""
    missing = {n: [checkpoint(work, n)] for n in CONFIGS if not record(work, n).exists()}
    print(f"[3/4] Measuring, protocol demo: {' and '.join(missing) or 'done already'}", flush=True)
    if missing:
        run_side_by_side(work, "test", missing)


def table(scores: dict[str, Robustness]) -> str:
    """Both models side by side, in Markdown."""
    rows = [["", *scores], ["---"] * (len(scores) + 1)]
    plain = scores["plain"]

    def row(title: str, values: list[float]) -> None:
        rows.append([title, *(f"{value:.1f}" for value in values)])

    row("clean mIoU", [score.clean for score in scores.values()])
    for corruption in plain.corruptions:
        row(corruption, [score.corruptions[corruption] for score in scores.values()])
    row("**corrupted mIoU**", [score.mean for score in scores.values()])
    row("**retention %**", [score.retention for score in scores.values()])
    row("mCE (plain = 100)", [corruption_errors(s, plain).mce for s in scores.values()])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"


def cell_scores(work: Path, name: str) -> dict[tuple[str, int], float]:
    """mIoU of a model by corruption and severity, clean included."""
    content = json.loads(record(work, name).read_text())
    cells = [content["clean"], *content["cells"]]
    return {(cell["corruption"], cell["severity"]): cell["mIoU"] for cell in cells}


def draw_comparison(work: Path, path: Path) -> None:
    """Image, ground truth and both predictions, clean and corrupted."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    image_path = sorted((work / "data/leftImg8bit/val").rglob("*.png"))[SHOWN_SCENE]
    label_path = sorted((work / "data/gtFine/val").rglob("*.png"))[SHOWN_SCENE]
    scene = mmcv.imread(str(image_path))
    label = mmcv.imread(str(label_path), flag="grayscale")
    palette = np.zeros((256, 3), np.uint8)
    palette[:19] = CityscapesDataset.METAINFO["palette"]
    models = {
        name: init_model(str(ROOT / config), checkpoint(work, name), "cpu")
        for name, config in CONFIGS.items()
    }
    scores = {name: cell_scores(work, name) for name in CONFIGS}
    figure, grid = plt.subplots(len(SHOWN) + 1, 4, figsize=(15, 8.4), layout="constrained")
    for axes, (corruption, severity) in zip(grid, (("clean", 0), *SHOWN)):
        image = scene
        if severity:
            seed = image_seed(0, str(image_path))
            image = corrupt_reference(scene[..., ::-1], corruption, severity, seed)[..., ::-1]
        name = corruption.replace("_", " ") + (f", severity {severity}" if severity else "")
        panels = {name: image[..., ::-1], "ground truth": palette[label]}
        for model_name, model in models.items():
            miou = scores[model_name][corruption, severity]
            result = inference_model(model, np.ascontiguousarray(image))
            prediction = palette[result.pred_sem_seg.data[0].numpy()]
            panels[f"{model_name}: mIoU {miou:.1f}"] = prediction
        for axis, (title, panel) in zip(axes, panels.items()):
            axis.imshow(panel)
            axis.set_title(title, fontsize=13)
            axis.axis("off")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def show(work: Path) -> None:
    """Write table and picture, and say where they are and what they say."""
    print("[4/4] Table and picture", flush=True)
    protocol = get_protocol("demo")
    scores = {name: read_baseline(record(work, name), protocol).figures for name in CONFIGS}
    text = table(scores)
    (work / "robustness_table.md").write_text(text)
    draw_comparison(work, work / "comparison.png")
    gain = scores["CWFA"].mean - scores["plain"].mean
    print(f"\n{text}")
    if gain > 0:
        print(f"Corrupted mIoU is {gain:.1f} points higher with CWFA in this run.")
    else:
        print(f"CWFA did not help in this run: corrupted mIoU is {-gain:.1f} points lower.")
    print(
        "One seed, a few minutes of training and drawn scenes: this shows how it works and proves "
        f"nothing.\n\nLook at\n  {work / 'comparison.png'}\n  {work / 'robustness_table.md'}\n"
        f"  {record(work, 'plain')} and {record(work, 'CWFA')} (every cell and class)\n"
        f"Finished parts are kept; remove {work} to start afresh."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/demo"))
    work = parser.parse_args().work_dir.resolve()
    begin = time.time()
    work.mkdir(parents=True, exist_ok=True)
    draw_scenes(work)
    train(work)
    measure(work)
    show(work)
    print(f"Took {(time.time() - begin) / 60:.1f} minutes.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
