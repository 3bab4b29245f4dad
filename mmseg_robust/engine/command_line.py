"""What ``tools/train.py`` and ``tools/test.py`` have in common."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from mmengine.config import Config, DictAction
from mmengine.dist import is_distributed
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmseg_robust.engine.hooks.preflight_hook import check_config
from mmseg_robust.errors import InputError, message_of

WRONG_INPUT = 2  # exit status, as argparse's
# What each launcher must have set, and how it is started.
LAUNCHERS = {
    "pytorch": ("RANK", "torchrun"),
    "slurm": ("SLURM_PROCID", "srun"),
    "mpi": ("OMPI_COMM_WORLD_LOCAL_RANK", "mpirun"),
}
LOCAL_RANKS = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK")
# Launchers end all ranks once one has ended: the silent ones leave this to the one that speaks.
SECONDS_FOR_THE_MESSAGE = 10.0


class ToolParser(argparse.ArgumentParser):
    """Parser with the options that all tools share; its errors are InputErrors."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description)
        self.add_argument("config", help="path of the config file")
        self.add_argument("--work-dir", help="folder for logs and results")
        self.add_argument(
            "--cfg-options",
            nargs="+",
            action=DictAction,
            help="settings that replace those of the config: key=value pairs; lists as "
            'key="[a,b]" or key=a,b; nested as key="[(a,b),(c,d)]", in quotes, without spaces',
        )
        self.add_argument(
            "--launcher",
            choices=["none", *LAUNCHERS],
            default="none",
            help="how the processes of a distributed run were started",
        )
        self.add_argument("--local_rank", "--local-rank", type=int, default=0)

    def error(self, message: str) -> NoReturn:
        """Raise an InputError in place of argparse's usage text."""
        raise InputError(f"{message} (see '{self.prog} --help')")

    def parse(self) -> argparse.Namespace:
        """Parse the command line and set ``LOCAL_RANK`` for launchers that pass it as an option.

        Raises:
            InputError: If an option is unknown or has a wrong value.
        """
        try:
            args = self.parse_args()
        except InputError:
            raise
        except ValueError as error:  # from DictAction
            self.error(f"argument --cfg-options: key=value pairs are needed: {error}")
        variable, starter = LAUNCHERS.get(args.launcher, ("", ""))
        if variable and variable not in os.environ:
            self.error(
                f"--launcher {args.launcher} needs {variable} in the environment: start the "
                f"processes by {starter}"
            )
        os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
        return args


def load_config(args: argparse.Namespace) -> Config:
    """Read the config file and put in what the shared options say.

    Args:
        args (Namespace): From :meth:`ToolParser.parse`.

    Returns:
        Config: With ``launcher`` and ``work_dir`` (option, else config, else by the file's name).

    Raises:
        InputError: If the file does not exist, cannot be read or an option does not fit it.
    """
    if not os.path.isfile(args.config):
        raise InputError(f"The config file '{args.config}' does not exist.")
    try:
        cfg = Config.fromfile(args.config)
    except InputError:
        raise
    except Exception as error:  # a config is a program, and imports others
        raise InputError(
            f"The config file '{args.config}' cannot be read: {type(error).__name__}: {error}"
        ) from error
    try:
        cfg.merge_from_dict(args.cfg_options or {})
    except (KeyError, TypeError) as error:
        raise InputError(f"--cfg-options does not fit the config: {error}") from error
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        name = os.path.splitext(os.path.basename(args.config))[0]
        cfg.work_dir = os.path.join("work_dirs", name)
    return cfg


def build_runner(cfg: Config, training: bool) -> Runner:
    """Check the config, add the hooks that every run has, and build the runner.

    Args:
        cfg (Config): The whole config; ``custom_hooks`` is extended.
        training (bool): Whether the runner will train, or test.
    """
    check_config(cfg, training)
    hooks = [*(cfg.get("custom_hooks") or [])]
    present = {_hook_name(hook) for hook in hooks}
    wanted = ["PreflightHook", "RandomStateHook"] if training else ["PreflightHook"]
    cfg.custom_hooks = hooks + [{"type": name} for name in wanted if name not in present]
    return RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)


def run_tool(main: Callable[[], None]) -> int:
    """Run a tool; wrong input ends in one line on stderr.

    What is wrong before the ranks of a distributed run join, all find alike: one rank of each host
    says it, as files can differ between hosts.

    Args:
        main (callable): The tool.

    Returns:
        int: Exit status: 0, or 2 for wrong input.
    """
    try:
        main()
    except InputError as error:
        if not is_distributed() and any(int(os.environ.get(n) or 0) for n in LOCAL_RANKS):
            time.sleep(SECONDS_FOR_THE_MESSAGE)
            return WRONG_INPUT
        print("error:", " ".join(message_of(error).split()), file=sys.stderr)
        return WRONG_INPUT
    return 0


def _hook_name(hook: Any) -> str:
    kind = hook.get("type") if isinstance(hook, dict) else type(hook)
    return str(getattr(kind, "__name__", kind)).rsplit(".", 1)[-1]
