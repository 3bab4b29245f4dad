"""Train and score a series of runs, several at a time; finished runs are not repeated.

A series file (JSON) lists runs: name, config, seeds, options for ``--cfg-options`` and the splits
to score. Each run goes through tools/train.py and tools/test.py, as a user would run them. The
record of a scored split is written to ``OUT/NAME.seedK.SPLIT.json`` when it is complete, so that
the script may be killed at any time and started again; training resumes from its last checkpoint.

The records that a call finds or makes of a run are of one training: where one is missing and the
weights are gone, the run is trained anew and scored anew on all, and so is a run that others start
from, if it is among those selected.

A run with ``from`` starts from the trained weights of the run of that name with the same seed,
which is trained first if it is not yet.

``protocol`` names the protocol of these records. Those of ``test_protocols`` are scored on the test
split besides, into ``OUT/NAME.seedK.test.PROTOCOL.json``: corruptions that no choice was made on.
Runs with ``transfer`` are scored on the ``val`` split of another data set too, where
--transfer-data names one of the same layout and classes: ``OUT/NAME.seedK.transfer.json``.

Example:
    python tools/results/run_series.py docs/results/camvid/series.json --data data/camvid \
        --out docs/results/camvid/runs --parallel 3
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRANSFER = "transfer"


@dataclass(frozen=True)
class Scoring:
    """A split scored under a protocol; ``record`` is how its record's file name goes on."""

    split: str
    protocol: str
    record: str

    @property
    def elsewhere(self) -> bool:
        """Whether the split is one of the other data set."""
        return self.record == TRANSFER


@dataclass(frozen=True)
class Run:
    """One training with one seed, and what is scored of it."""

    name: str
    config: str
    seed: int
    scorings: tuple[Scoring, ...]
    options: dict[str, object] = field(default_factory=dict)
    parent: Run | None = None

    @property
    def key(self) -> str:
        return f"{self.name}.seed{self.seed}"


def read_series(path: Path, only: list[str], seeds: list[int], transfer: bool) -> list[Run]:
    """The selected runs of a series file, in its order; ``transfer``: whether to score that."""
    series = json.loads(path.read_text())
    entries = series["runs"]
    names = [entry["name"] for entry in entries]
    unknown = set(only) - set(names)
    if unknown:
        sys.exit(
            f"error: {path} has no run {', '.join(sorted(unknown))}; it has: {', '.join(names)}"
        )
    further = [Scoring("test", p, f"test.{p}") for p in series.get("test_protocols", [])]

    def scorings(entry: dict) -> tuple[Scoring, ...]:
        splits, protocol = entry["splits"], series["protocol"]
        main = [Scoring(split, protocol, split) for split in splits]
        other = [Scoring("val", protocol, TRANSFER)] if transfer and entry.get(TRANSFER) else []
        return (*main, *(further if "test" in splits else []), *other)

    def run(entry: dict, seed: int) -> Run:
        parent = entry.get("from")
        if parent is not None and parent not in by_name:
            sys.exit(
                f"error: run {entry['name']} of {path} starts from {parent}, which is no run of "
                f"it; it has: {', '.join(by_name)}"
            )
        return Run(
            entry["name"],
            entry["config"],
            seed,
            scorings(entry),
            entry.get("options", {}),
            None if parent is None else run(by_name[parent], seed),
        )

    by_name = {entry["name"]: entry for entry in entries}
    return [
        run(entry, seed)
        for entry in entries
        for seed in entry["seeds"]
        if (not only or entry["name"] in only) and (not seeds or seed in seeds)
    ]


class Series:
    """Runs a list of runs in parallel slots.

    Args:
        args (argparse.Namespace): The command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.failed: list[str] = []
        self.children: set[subprocess.Popen] = set()
        self.guard, self.locks = threading.Lock(), dict[str, threading.Lock]()
        self.deadline = float("inf")
        if args.stop_after is not None:
            self.deadline = time.monotonic() + args.stop_after

    def record(self, run: Run, scoring: Scoring) -> Path:
        return self.args.out / f"{run.key}.{scoring.record}.json"

    def training_of(self, run: Run) -> float | None:
        """Seconds of the training whose weights are in the work folder; None without any."""
        path = self.args.work_dir / run.key / "trained"
        return float(path.read_text()) if path.exists() else None

    def pending(self, run: Run) -> list[Scoring]:
        """What has no record of the weights in the work folder.

        Where these are gone, nothing if all records there are of one training, else everything.
        """
        made = {scoring: self.made_by(self.record(run, scoring)) for scoring in run.scorings}
        weights = self.training_of(run)
        if weights is None:
            one = len(set(made.values())) <= 1 and None not in made.values()
            return [] if one else list(run.scorings)
        return [scoring for scoring, seconds in made.items() if seconds != weights]

    @staticmethod
    def made_by(record: Path) -> float | None:
        """Seconds of the training that a record is of, which tell one training from another."""
        if not record.exists():
            return None
        return json.loads(record.read_text())["series"]["train_seconds"]

    def options(self, run: Run) -> dict[str, object]:
        data = {
            f"{part}_dataloader.dataset.data_root": self.args.data
            for part in ("train", "val", "test")
        }
        return {**data, **run.options, **self.args.cfg_options, "randomness.seed": run.seed}

    def elsewhere(self, scoring: Scoring) -> dict[str, object]:
        """Options that point the test at the other data set, whose images are PNG."""
        if not scoring.elsewhere:
            return {}
        dataset = "test_dataloader.dataset"
        return {f"{dataset}.data_root": self.args.transfer_data, f"{dataset}.img_suffix": ".png"}

    def train(self, run: Run, gpu: int) -> str:
        """Train if there is no final checkpoint; returns its path."""
        with self.guard:
            lock = self.locks.setdefault(run.key, threading.Lock())
        with lock:  # another slot may need it as the start of a run of its own
            work_dir = self.args.work_dir / run.key
            done = work_dir / "trained"
            if not done.exists():
                options, arguments = self.options(run), [run.config, "--resume"]
                if run.parent is not None and not (work_dir / "last_checkpoint").exists():
                    # With --resume the run would go on with the other's iteration and optimizer.
                    options["load_from"] = self.train(run.parent, gpu)
                    arguments.remove("--resume")
                start = time.time()
                self.call(run, gpu, "train", arguments, options)
                done.write_text(f"{time.time() - start:.6f}\n")
            return (work_dir / "last_checkpoint").read_text().strip()

    def execute(self, run: Run, gpu: int) -> None:
        """Train, then score what is not scored yet."""
        checkpoint = self.train(run, gpu)
        work_dir = self.args.work_dir / run.key
        for scoring in self.pending(run):
            path, split = self.record(run, scoring), scoring.split
            # Written elsewhere first, so that a record beside the code is always whole.
            whole = work_dir / f"{scoring.record}.json"
            score = {
                **self.options(run),
                "test_cfg.protocol": scoring.protocol,
                "test_cfg.out_file": whole,
                "test_dataloader.num_workers": self.args.test_workers,
                **self.elsewhere(scoring),
                "test_dataloader.dataset.data_prefix.img_path": f"images/{split}",
                "test_dataloader.dataset.data_prefix.seg_map_path": f"labels/{split}",
            }
            self.call(run, gpu, "test", [run.config, checkpoint], score)
            record = json.loads(whole.read_text())
            # Where the work folder lies on this machine is nobody's business.
            tested = Path(record["run"]["checkpoint"])
            record["run"]["checkpoint"] = str(tested.relative_to(self.args.work_dir))
            record["series"] = dict(
                name=run.name,
                config=run.config,
                seed=run.seed,
                split=split,
                options=run.options,
                start=None if run.parent is None else run.parent.key,
                train_seconds=float((work_dir / "trained").read_text()),
            )
            partial = path.with_suffix(".part")
            partial.write_text(json.dumps(record, separators=(",", ":")) + "\n")
            os.replace(partial, path)

    def call(
        self, run: Run, gpu: int, tool: str, arguments: list[str], options: dict[str, object]
    ) -> None:
        work_dir = self.args.work_dir / run.key
        work_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, f"tools/{tool}.py", *arguments, "--work-dir", str(work_dir)]
        command += ["--cfg-options", *(f"{key}={value}" for key, value in options.items())]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": str(gpu)}
        start = time.time()
        with open(work_dir / f"{tool}.out", "a") as log:
            child = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            self.children.add(child)
            status = child.wait()
            self.children.discard(child)
        if status != 0:
            raise subprocess.CalledProcessError(status, command)
        print(f"{run.key}: {tool} {time.time() - start:.0f} s", flush=True)

    def terminate(self, *_: object) -> None:
        """End the running tools, data-loader workers included, and this script."""
        for child in list(self.children):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        os._exit(1)

    def main(self) -> int:
        """Run everything that is not finished; the exit status is 1 if a run failed."""
        self.args.out.mkdir(parents=True, exist_ok=True)
        selected = read_series(
            self.args.series,
            self.args.only,
            self.args.seeds,
            self.args.transfer_data is not None,
        )
        runs = [run for run in selected if self.pending(run)]
        # A parent whose weights are gone is trained anew for its children, and then scored anew.
        lost = {
            run.parent.key for run in runs if run.parent and self.training_of(run.parent) is None
        }
        runs = [run for run in selected if run in runs or run.key in lost]
        waiting: queue.SimpleQueue[Run] = queue.SimpleQueue()
        for run in runs:
            waiting.put(run)

        def slot(index: int) -> None:
            while time.monotonic() <= self.deadline:
                try:
                    run = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    self.execute(run, index % self.args.gpus)
                except (subprocess.CalledProcessError, OSError, ValueError) as error:
                    self.failed.append(run.key)
                    print(
                        f"{run.key}: FAILED, see {self.args.work_dir / run.key}: {error}",
                        flush=True,
                    )

        threads = [threading.Thread(target=slot, args=(i,)) for i in range(self.args.parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = sum(bool(self.pending(run)) for run in runs) - len(self.failed)
        done = len(runs) - left - len(self.failed)
        print(f"{done} runs done, {len(self.failed)} failed, {left} left for the next call")
        return 1 if self.failed else 0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("series", type=Path, help="JSON file that lists the runs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the records")
    parser.add_argument("--data", required=True, help="root folder of the data set")
    parser.add_argument("--transfer-data", metavar="FOLDER", help="another data set to score on")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/series"))
    parser.add_argument("--parallel", type=int, default=1, help="runs at a time")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs to spread them over")
    parser.add_argument(
        "--stop-after",
        type=float,
        metavar="SECONDS",
        help="start no run later than this; those that have begun are trained and scored",
    )
    parser.add_argument("--test-workers", type=int, default=4, help="data-loader workers of a test")
    parser.add_argument(
        "--cfg-options",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="for every run of the series",
    )
    parser.add_argument("--only", nargs="*", default=[], help="names of the runs to take")
    parser.add_argument("--seeds", nargs="*", type=int, default=[], help="seeds to take")
    args = parser.parse_args()
    # The tools run in the checkout's root, wherever this script was called from.
    args.out, args.work_dir = args.out.absolute(), args.work_dir.absolute()
    args.data = str(Path(args.data).absolute())
    if args.transfer_data is not None:
        args.transfer_data = str(Path(args.transfer_data).absolute())
    args.cfg_options = dict(option.split("=", 1) for option in args.cfg_options)
    return args


if __name__ == "__main__":
    series = Series(parse_args())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, series.terminate)
    sys.exit(series.main())
