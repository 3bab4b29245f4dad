"""Test a model: ``python tools/test.py CONFIG CHECKPOINT [options]``.

The options are those of MMSegmentation's own ``tools/test.py``.
"""

from __future__ import annotations

import argparse
import sys

# First of all, on the top level: it mends what MMSegmentation's import needs, also in data loader
# workers that are spawned, which import this file before anything else.
import mmseg_robust  # noqa: F401

# isort: split
from mmengine.config import Config

from mmseg_robust.engine.command_line import ToolParser, build_runner, load_config, run_tool
from mmseg_robust.errors import InputError

SAVING_METRICS = ("IoUMetric", "CityscapesMetric")
# Taken out, because SegVisualizationHook asks the runner for the iteration, which builds the
# training loop: a test would need the training data.
TRAINING_KEYS = ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler")


def enable_drawing(cfg: Config, args: argparse.Namespace) -> None:
    """Show predictions or save them as pictures.

    Raises:
        InputError: If the config has no visualization hook.
    """
    hook = (cfg.get("default_hooks") or {}).get("visualization")
    if hook is None:
        raise InputError(
            "--show and --show-dir need the hook default_hooks.visualization=dict(type="
            "'SegVisualizationHook'), for a classifier 'VisualizationHook', in the config."
        )
    # MMPretrain's hook calls it so, and hands what it does not know on to the visualizer.
    hook["enable" if hook["type"] == "VisualizationHook" else "draw"] = True
    if args.show:
        hook["show"] = True
        hook["wait_time"] = args.wait_time
    if args.show_dir:
        if cfg.get("visualizer") is None:
            raise InputError("--show-dir needs a 'visualizer' in the config.")
        cfg.visualizer["save_dir"] = args.show_dir


def enable_tta(cfg: Config) -> None:
    """Test with test-time augmentation.

    Raises:
        InputError: If the config does not define it.
    """
    for key in ("tta_model", "tta_pipeline"):
        if cfg.get(key) is None:
            raise InputError(f"--tta needs '{key}' in the config.")
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def enable_output(cfg: Config, folder: str) -> None:
    """Save the predicted label maps.

    Raises:
        InputError: If no metric of the config can do so.
    """
    evaluators = cfg.test_evaluator
    evaluators = evaluators if isinstance(evaluators, list) else [evaluators]
    metrics = [metric for metric in evaluators if metric["type"] in SAVING_METRICS]
    if not metrics:
        raise InputError(f"--out needs a metric of {SAVING_METRICS} in test_evaluator.")
    for metric in metrics:
        metric["output_dir"] = folder
        metric["keep_results"] = True


def main() -> None:
    """Parse the command line and test."""
    parser = ToolParser("Test a model")
    parser.add_argument("checkpoint", help="path of the checkpoint")
    parser.add_argument("--out", help="folder for the predicted label maps")
    parser.add_argument("--show", action="store_true", help="show the predictions")
    parser.add_argument("--show-dir", help="folder for painted predictions")
    parser.add_argument(
        "--wait-time", type=float, default=2, help="seconds that --show shows each for"
    )
    parser.add_argument("--tta", action="store_true", help="test-time augmentation")
    args = parser.parse()
    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    cfg.resume = False
    for key in TRAINING_KEYS:
        cfg[key] = None
    if args.show or args.show_dir:
        enable_drawing(cfg, args)
    if args.tta:
        enable_tta(cfg)
    if args.out is not None:
        enable_output(cfg, args.out)
    build_runner(cfg, training=False).test()


if __name__ == "__main__":
    sys.exit(run_tool(main))
