"""Runs at perturbed weights and the plain loops that they must equal, for the tests."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner
from mmseg.registry import MODELS
from small_models import runner_cfg, segformer_cfg
from small_runs import fork_ranks
from torch import Tensor, nn

from mmseg_robust.engine.hooks import DAMPHook

METHODS: dict[str, dict[str, Any]] = {
    "damp": dict(type="DAMPHook", sigma=0.2),
    "damp-chain-rule": dict(type="DAMPHook", sigma=0.2, gradient="chain_rule"),
    "sam": dict(type="SharpnessAwareHook", rho=0.5),
    "asam": dict(type="SharpnessAwareHook", rho=1.0, adaptive=True, eta=0.01),
}
OFF: dict[str, dict[str, Any]] = {
    "damp": dict(type="DAMPHook", sigma=0),
    "damp-chain-rule": dict(type="DAMPHook", sigma=0.0, gradient="chain_rule"),
    "damp-never-begins": dict(type="DAMPHook", begin=1.0),
    "sam": dict(type="SharpnessAwareHook", rho=0),
    "asam": dict(type="SharpnessAwareHook", rho=0.0, adaptive=True),
    "sam-never-begins": dict(type="SharpnessAwareHook", rho=0.5, begin=10**6),
}


def still_cfg(**backbone: Any) -> dict[str, Any]:
    """The small SegFormer without dropout, so that nothing but the data is random."""
    model = segformer_cfg(drop_rate=0.0, drop_path_rate=0.0, **backbone)
    model["decode_head"]["dropout_ratio"] = 0.0
    return model


class Recorder(Hook):
    """Keeps what a plain loop needs to repeat the run, and what it must arrive at."""

    def __init__(self) -> None:
        self.initial: dict[str, Tensor] = {}
        self.batches: list[Any] = []
        self.factors: list[dict[str, Tensor]] = []
        self.states: list[dict[str, Tensor]] = []
        self.outputs: list[dict[str, float]] = []

    def before_train(self, runner: Runner) -> None:
        self.initial = plain_weights(runner)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.batches.append(copy.deepcopy(data_batch))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.states.append(plain_weights(runner))
        self.outputs.append({key: value.item() for key, value in outputs.items()})
        damp = [hook for hook in runner.hooks if isinstance(hook, DAMPHook)]
        if damp and not damp[0].never_acts:
            self.factors.append(factors_of(damp[0], plain(runner)))


def plain(runner: Runner) -> nn.Module:
    """The runner's model, out of the wrapper of distributed training."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def plain_weights(runner: Runner) -> dict[str, Tensor]:
    """Copies of the model's state."""
    return {key: value.detach().clone() for key, value in plain(runner).state_dict().items()}


def factors_of(hook: DAMPHook, model: nn.Module) -> dict[str, Tensor]:
    """DAMP's last factors by the name of the weight."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[weight]: xi.clone() for weight, xi in hook._factors.pairs()}


def record(work_dir: Any, *hooks: Any, double: bool = False, **changes: Any) -> Recorder:
    """Train the small SegFormer and keep what happened; in float64 if asked."""
    recorder = Recorder()
    cfg = runner_cfg(work_dir, **dict(dict(custom_hooks=[*hooks, recorder]), **changes))
    runner = Runner(**cfg)
    if double:
        runner.model.double()
    runner.train()
    return recorder


def plain_loop(
    recorders: Sequence[Recorder],
    optimizer: dict[str, Any],
    gradients: Callable[..., list[dict[str, Tensor]]],
    accumulate: int = 1,
    max_norm: float | None = None,
    model_cfg: dict[str, Any] | None = None,
) -> list[dict[str, Tensor]]:
    """Train as the recorded run did, by a loop written out, without MMEngine.

    Args:
        recorders (sequence of Recorder): Of each rank.
        optimizer (dict): ``type`` and arguments of torch's optimizer.
        gradients (Callable): Called with the model, one closure a rank that computes its loss, and
            the iteration; returns one dict of gradients a rank.
        accumulate (int): Micro-batches of an update.
        max_norm (float, optional): Bound of the gradient's norm.
        model_cfg (dict, optional): Of the model.

    Returns:
        list[dict[str, Tensor]]: The state after each iteration.
    """
    model = MODELS.build(copy.deepcopy(model_cfg or still_cfg())).double().train()
    model.load_state_dict(recorders[0].initial)
    named = dict(model.named_parameters())
    arguments = {key: value for key, value in optimizer.items() if key != "type"}
    update = getattr(torch.optim, optimizer["type"])(model.parameters(), **arguments)
    states = []
    for iteration in range(len(recorders[0].batches)):
        losses = [_loss(model, rank.batches[iteration], accumulate) for rank in recorders]
        for found in gradients(model, losses, iteration):
            for name, gradient in found.items():
                share = gradient / len(recorders)
                grad = named[name].grad
                named[name].grad = share if grad is None else grad + share
        if (iteration + 1) % accumulate == 0:
            if max_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), max_norm)
            update.step()
            update.zero_grad()
        states.append({key: value.clone() for key, value in model.state_dict().items()})
    return states


def _loss(model: nn.Module, batch: Any, accumulate: int) -> Callable[[], Tensor]:
    prepared = model.data_preprocessor(copy.deepcopy(batch), True)
    return lambda: model.parse_losses(model(**prepared, mode="loss"))[0] / accumulate


def gradient_of(model: nn.Module, loss: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Gradients by name, without touching ``grad``."""
    named = dict(model.named_parameters())
    found = torch.autograd.grad(loss(), list(named.values()), allow_unused=True)
    return {name: g for name, g in zip(named, found) if g is not None}


@contextmanager
def moved(model: nn.Module, change: Callable[[str, Tensor], Tensor]) -> Iterator[None]:
    """The parameters replaced by a function of their name and value, then the clean ones."""
    clean = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(change(name, clean[name]))
    yield
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(clean[name])


def assert_equal_parameters(got: dict[str, Tensor], want: dict[str, Tensor], **tolerance) -> None:
    """Compare all but the running statistics, which differ by rank."""
    for key, value in want.items():
        if "running" not in key and "num_batches" not in key:
            torch.testing.assert_close(got[key], value, **tolerance)


@OPTIM_WRAPPERS.register_module()
class ScaledOptimWrapper(OptimWrapper):
    """What AmpOptimWrapper, which needs a GPU, does: autocast and a loss scaler; on the CPU.

    Gradients of the first iterations can be made to overflow.
    """

    def __init__(self, overflows: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss_scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        self.overflows = overflows

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast("cpu", torch.bfloat16):
            yield

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        factor = float("inf") if self._inner_count < self.overflows else 1.0
        (self.loss_scaler.scale(loss) * factor).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()


def write_recorder(recorder: Recorder, path: Any) -> None:
    """Write what a rank recorded to a file."""
    torch.save(vars(recorder), path)


def read_recorder(path: Any) -> Recorder:
    """Read what a rank recorded."""
    recorder = Recorder()
    vars(recorder).update(torch.load(path, weights_only=False))
    return recorder


def train_rank(folder: Any, hook: dict[str, Any], **changes: Any) -> None:
    """Be one rank of a distributed run in float64 and write what happened."""
    torch.set_default_dtype(torch.float64)  # the wrapped model cannot change its type any more
    from mmengine.dist import get_rank

    recorder = record(
        folder, hook, launcher="pytorch", env_cfg=dict(dist_cfg=dict(backend="gloo")), iters=4,
        model=still_cfg(), **changes,
    )  # fmt: skip
    write_recorder(recorder, folder / f"rank_{get_rank()}.pth")
    torch.distributed.destroy_process_group()


def train_ranks(folder: Any, hook: dict[str, Any], **changes: Any) -> list[Recorder]:
    """Train in two processes that exchange gradients through gloo."""
    ranks = fork_ranks(lambda: train_rank(folder, hook, **changes))
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    return [read_recorder(folder / f"rank_{rank}.pth") for rank in (0, 1)]
