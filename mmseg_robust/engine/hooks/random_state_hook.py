"""Make a resumed run continue exactly where the killed one stopped."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, Runner

CHECKPOINT_KEY = "random_state"


def capture_random_state() -> dict[str, Any]:
    """Read the state of every global random generator of this process.

    Returns:
        dict: Tensors, numbers and None alone, so that torch's ``weights_only`` unpickler reads it
        back without an allow-list. ``cuda`` is None where there is no GPU.
    """
    _, python_words, python_gauss = random.getstate()
    numpy = np.random.get_state(legacy=False)
    return {
        "python": {
            "words": torch.tensor(python_words, dtype=torch.int64),
            "gauss": python_gauss,
        },
        "numpy": {
            "words": torch.from_numpy(numpy["state"]["key"].astype(np.int64)),
            "position": int(numpy["state"]["pos"]),
            "has_gauss": int(numpy["has_gauss"]),
            "gauss": float(numpy["gauss"]),
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put the generators of this process into a captured state.

    Args:
        state (dict): What :func:`capture_random_state` returned. Tensors may lie on any device
            (MMEngine loads the checkpoint it resumes from onto the GPU).
    """
    python, numpy = state["python"], state["numpy"]
    random.setstate((3, tuple(python["words"].tolist()), python["gauss"]))
    np.random.set_state(
        (
            "MT19937",
            numpy["words"].cpu().numpy().astype(np.uint32),
            numpy["position"],
            numpy["has_gauss"],
            numpy["gauss"],
        )
    )
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


class _CallAfter:
    """Iterator that calls a function once, right before it hands out item number ``skip``."""

    def __init__(self, iterator: Iterator[Any], skip: int, call: Callable[[], None]) -> None:
        self._iterator = iterator
        self._skip = skip
        self._call = call

    def __iter__(self) -> _CallAfter:
        return self

    def __next__(self) -> Any:
        if self._skip == 0:
            self._call()
        self._skip -= 1
        return next(self._iterator)


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Save and restore the random state, so that resuming is exact.

    MMEngine's checkpoints hold no random state: a resumed run draws other dropout masks and, with
    ``num_workers=0``, other augmentations than the run that was killed. With this hook a resumed
    run ends with the weights of an uninterrupted one, to the bit on CPU (on a GPU as far as its
    kernels are deterministic). It works in ``IterBasedTrainLoop`` and, for checkpoints at the end
    of an epoch, in ``EpochBasedTrainLoop``; with any number of ranks and of loader workers; and
    without ``randomness.seed`` in the config, because the data loader is built again with the
    seed of the killed run.

    How it does so:

    - The states of all ranks are gathered right before ``CheckpointHook`` saves, not in
      ``before_save_checkpoint``: that callback runs on the master alone, where gathering would
      wait for the other ranks for ever. The priority places the hook just before
      ``CheckpointHook``.
    - Validation leaves the state as it found it. MMEngine saves before it validates, so a resumed
      run does not repeat a validation that the uninterrupted run made.
    - The state is restored once the data loader has caught up. ``IterBasedTrainLoop`` skips the
      seen batches inside ``run()`` between two hooks, so its iterator is wrapped for that time.
      Workers that live through epochs (``persistent_workers``) carry their own random state on:
      in an ``EpochBasedTrainLoop`` the hook reads the past epochs again to bring them there.

    A warning says so when exactness is lost: another number of ranks, a checkpoint without
    states, a checkpoint from the middle of an epoch (``EpochBasedTrainLoop`` starts the epoch
    anew), checkpoints between two steps of gradient accumulation (MMEngine stores no gradients).
    """

    priority = 89  # CheckpointHook has VERY_LOW, 90

    def __init__(self) -> None:
        self._gathered: list[dict[str, Any]] | None = None
        self._gathered_at: tuple[int, int] | None = None
        self._loaded: list[dict[str, Any]] | None = None
        self._loader_seed: int | None = None
        self._before_val: dict[str, Any] | None = None
        self._pending: dict[str, Any] | None = None

    # Saving ------------------------------------------------------------------------------------

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Gather the states if a checkpoint is saved after this iteration."""
        if any(_saves_after_iteration(hook, runner) for hook in _checkpoint_hooks(runner)):
            self._gather(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Gather the states if a checkpoint is saved after this epoch."""
        if any(_saves_after_epoch(hook, runner) for hook in _checkpoint_hooks(runner)):
            self._gather(runner)

    def before_val(self, runner: Runner) -> None:
        """Keep the state of the training; gather it if the best checkpoint may be saved."""
        if not isinstance(runner._train_loop, BaseLoop):  # still a config: nothing is trained
            return
        self._before_val = capture_random_state()
        if any(hook.save_best for hook in _checkpoint_hooks(runner)):
            self._gather(runner)

    def after_val(self, runner: Runner) -> None:
        """Undo what validation drew."""
        if self._before_val is not None:
            restore_random_state(self._before_val)
            self._before_val = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the gathered states into a checkpoint that a run can resume from.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): Extended in place by the key ``random_state``: one state a rank.
        """
        resumable = "optimizer" in checkpoint
        if resumable and self._gathered_at == (runner.epoch, runner.iter):
            checkpoint[CHECKPOINT_KEY] = self._gathered

    def _gather(self, runner: Runner) -> None:
        """Collect the states of all ranks; every rank must call it."""
        self._gathered = all_gather_object(capture_random_state())
        self._gathered_at = (runner.epoch, runner.iter)

    # Resuming ----------------------------------------------------------------------------------

    def before_run(self, runner: Runner) -> None:
        """Remember the seed that the data loader was built with."""
        self._loader_seed = runner.seed

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the states out of a loaded checkpoint."""
        self._loaded = checkpoint.pop(CHECKPOINT_KEY, None)

    def before_train(self, runner: Runner) -> None:
        """Prepare the restoring if this run is a resumed one."""
        _warn_of_accumulation(runner)
        loop = runner.train_loop
        if loop.iter == 0 or not self._can_be_exact(runner):
            return
        assert self._loaded is not None
        self._pending = self._loaded[get_rank()]
        if runner.seed != self._loader_seed:
            _rebuild_dataloader(runner, loop)
        if hasattr(loop, "dataloader_iterator"):
            iterator = loop.dataloader_iterator

            def restore_and_unwrap() -> None:
                self._restore()
                loop.dataloader_iterator = iterator

            loop.dataloader_iterator = _CallAfter(iterator, loop.iter, restore_and_unwrap)
        elif getattr(loop.dataloader, "persistent_workers", False):
            _replay_epochs(runner, loop)

    def before_train_epoch(self, runner: Runner) -> None:
        """Restore the state where the loop skips nothing by itself (``EpochBasedTrainLoop``)."""
        if not hasattr(runner.train_loop, "dataloader_iterator"):
            self._restore()

    def _restore(self) -> None:
        if self._pending is not None:
            restore_random_state(self._pending)
            self._pending = None

    def _can_be_exact(self, runner: Runner) -> bool:
        """Whether the loaded states fit this run; warns if not."""
        loop = runner.train_loop
        reason = None
        if self._loaded is None:
            reason = "the checkpoint holds no random state (it was saved without RandomStateHook)"
        elif len(self._loaded) != get_world_size():
            reason = (
                f"the checkpoint was saved by {len(self._loaded)} processes and "
                f"{get_world_size()} resume it"
            )
        elif not hasattr(loop, "dataloader_iterator") and loop.iter % len(loop.dataloader):
            reason = "the checkpoint is from the middle of an epoch, which starts anew"
        if reason is not None:
            runner.logger.warning(
                "The resumed run will not be exactly the one that was interrupted: %s.", reason
            )
        return reason is None


def _checkpoint_hooks(runner: Runner) -> list[CheckpointHook]:
    return [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]


def _saves_after_iteration(hook: CheckpointHook, runner: Runner) -> bool:
    """The rule of ``CheckpointHook.after_train_iter``."""
    return not hook.by_epoch and (
        hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
        or (hook.save_last and hook.is_last_train_iter(runner))
    )


def _saves_after_epoch(hook: CheckpointHook, runner: Runner) -> bool:
    """The rule of ``CheckpointHook.after_train_epoch``."""
    return hook.by_epoch and (
        hook.every_n_epochs(runner, hook.interval, hook.save_begin)
        or (hook.save_last and hook.is_last_train_epoch(runner))
    )


def _warn_of_accumulation(runner: Runner) -> None:
    """Warn if a checkpoint interval falls between two steps of gradient accumulation."""
    every = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
    for hook in _checkpoint_hooks(runner):
        if not hook.by_epoch and hook.interval > 0 and hook.interval % every:
            runner.logger.warning(
                "Checkpoints are saved every %d iterations but gradients are accumulated over "
                "%d: a resumed run loses the gradients in between. Use a multiple.",
                hook.interval,
                every,
            )


def _rebuild_dataloader(runner: Runner, loop: BaseLoop) -> None:
    """Build the training data loader with the seed of the checkpoint.

    Without a seed in the config MMEngine draws one at start, builds the loader with it, and finds
    the killed run's seed in the checkpoint only later: the order of the data would differ.
    """
    if not isinstance(runner._train_dataloader, dict):  # the user built it with a seed of their own
        return
    iterate = None
    if hasattr(loop, "dataloader_iterator"):
        iterate = type(loop.dataloader_iterator)
        loop.dataloader_iterator = None  # ends its workers, before others are started
    loop.dataloader = None
    loop.dataloader = runner.build_dataloader(
        runner._train_dataloader,
        seed=runner.seed,
        diff_rank_seed=runner._randomness_cfg.get("diff_rank_seed", False),
    )
    if iterate is not None:
        loop.dataloader_iterator = iterate(loop.dataloader)


def _replay_epochs(runner: Runner, loop: BaseLoop) -> None:
    """Read the data of the past epochs, so that persistent workers draw what comes next."""
    runner.logger.warning("Reading the data of %d past epochs again to resume exactly", loop.epoch)
    sampler = loop.dataloader.sampler
    if not hasattr(sampler, "set_epoch"):
        sampler = loop.dataloader.batch_sampler.sampler
    for epoch in range(loop.epoch):
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        for _ in loop.dataloader:
            pass
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(loop.epoch)
