"""Train a segmentation model: ``python tools/train.py CONFIG [options]``.

The options are those of MMSegmentation's own ``tools/train.py``.
"""

from __future__ import annotations

import logging
import sys

# First of all, on the top level: it mends what MMSegmentation's import needs, also in data loader
# workers that are spawned, which import this file before anything else.
import mmseg_robust  # noqa: F401

# isort: split
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log

from mmseg_robust.engine.command_line import ToolParser, build_runner, load_config, run_tool
from mmseg_robust.engine.hooks.checkpoint_checks import find_resumable
from mmseg_robust.errors import InputError


def enable_amp(cfg: Config) -> None:
    """Turn automatic mixed precision on.

    Raises:
        InputError: If there is no GPU or the config has an optimizer wrapper of another kind.
    """
    if get_device() == "cpu":
        raise InputError("--amp needs a GPU and none was found. Leave it out.")
    kind = cfg.optim_wrapper.type
    if kind == "AmpOptimWrapper":
        print_log("AMP is already enabled in the config.", "current")
    elif kind != "OptimWrapper":
        raise InputError(f"--amp works with optim_wrapper type 'OptimWrapper', not '{kind}'.")
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    cfg.optim_wrapper.setdefault("loss_scale", "dynamic")


def enable_resume(cfg: Config, load_from_given: bool) -> None:
    """Continue from the latest checkpoint in the work folder, if there is one.

    MMEngine would take a ``load_from`` of the config, which is where fine-tuning starts, for the
    checkpoint to resume from. Only one that is given on the command line means that.

    Args:
        cfg (Config): The whole config.
        load_from_given (bool): Whether ``--cfg-options`` set ``load_from``.
    """
    cfg.resume = True
    if cfg.get("load_from") is None or load_from_given:
        return
    path, warning = find_resumable(cfg.work_dir)
    if warning:
        print_log(warning, "current", logging.WARNING)
    if path is None:
        cfg.resume = False  # nothing to resume: start as the config says
    else:
        cfg.load_from = path


def main() -> None:
    """Parse the command line and train."""
    parser = ToolParser("Train a segmentation model")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue from the latest checkpoint in the work folder, or from "
        "--cfg-options load_from=FILE",
    )
    parser.add_argument("--amp", action="store_true", help="train with automatic mixed precision")
    args = parser.parse()
    cfg = load_config(args)
    if args.amp:
        enable_amp(cfg)
    if args.resume:
        enable_resume(cfg, "load_from" in (args.cfg_options or {}))
    build_runner(cfg, training=True).train()


if __name__ == "__main__":
    sys.exit(run_tool(main))
