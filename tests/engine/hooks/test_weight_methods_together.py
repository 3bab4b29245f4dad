"""Feature augmentation, weight noise and sparsity in one run."""

import pytest
import torch
from mmengine.hooks import Hook
from small_models import same, train, weights
from sparse_reference import Recorder, calm_segformer_cfg

import mmseg_robust  # noqa: F401
from mmseg_robust.engine.hooks import DynamicSparseTrainingHook

CWFA = dict(type="CWFAHook", epsilon=3.0, prob=0.5, begin=0)
DAMP = dict(type="DAMPHook", sigma=0.2)
SAM = dict(type="SharpnessAwareHook", rho=0.1)
ASAM = dict(type="SharpnessAwareHook", rho=0.5, adaptive=True, eta=0.01)
SPARSE = dict(type="DynamicSparseTrainingHook", sparsity=0.5, interval=2, init="random")
SGD = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05, momentum=0.9))
ADAMW = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))


class ZerosInEveryPass(Hook):
    """Inactive weights are 0 in every forward pass, perturbed ones too, and after every step."""

    priority = "LOWEST"

    def __init__(self):
        self.passes = 0
        self.moved = False

    def before_train(self, runner):
        self.hook = next(h for h in runner.hooks if isinstance(h, DynamicSparseTrainingHook))
        self.clean = None
        self.handle = runner.model.backbone.register_forward_pre_hook(lambda *_: self.look(True))

    def look(self, in_pass=False):
        masks = self.hook.run.masks
        for weight, mask in zip(masks.parameters, masks.values):
            assert not weight[mask == 0].count_nonzero()
        self.passes += in_pass
        if in_pass and self.clean is not None:
            self.moved |= not torch.equal(masks.parameters[0], self.clean)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.look()
        self.clean = self.hook.run.masks.parameters[0].detach().clone()

    def after_train(self, runner):
        self.handle.remove()


@pytest.mark.parametrize(
    ("hooks", "passes"),
    [([CWFA, DAMP], 6), ([CWFA, SAM], 12), ([ASAM], 12)],
    ids=["cwfa-damp", "cwfa-sam", "asam"],
)
@pytest.mark.parametrize("order", [1, -1], ids=["last", "first"])
def test_zeros_stay_zeros_whatever_moves_the_weights(tmp_path, hooks, passes, order):
    zeros = ZerosInEveryPass()
    together = [*hooks, SPARSE][::order]
    runner = train(tmp_path, optim_wrapper=ADAMW, custom_hooks=[*together, zeros])
    assert zeros.passes == passes
    assert zeros.moved, "passes see perturbed weights"
    assert all(value.isfinite().all() for value in weights(runner).values())


class MaskByHand(Hook):
    """Makes weights and momentum 0 after every iteration, by masks from a checkpoint."""

    def __init__(self, masks):
        self.masks = masks

    def before_train(self, runner):
        self.zero(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.zero(runner)

    @torch.no_grad()
    def zero(self, runner):
        for name, weight in runner.model.named_parameters():
            if name in self.masks:
                weight.mul_(self.masks[name])
                for value in runner.optim_wrapper.optimizer.state[weight].values():
                    value.mul_(self.masks[name])


def test_all_three_are_each_what_they_are_alone(tmp_path):
    """A static mask within CWFA and DAMP is the same masks put on by hand outside of them."""
    static = dict(SPARSE, method="static")
    common = dict(model=calm_segformer_cfg(), optim_wrapper=SGD)
    together, by_hand = Recorder(), Recorder()
    train(tmp_path / "together", custom_hooks=[CWFA, DAMP, static, together], **common)
    masks = torch.load(tmp_path / "together" / "iter_6.pth")["sparse_training"]["masks"]
    train(tmp_path / "by_hand", custom_hooks=[CWFA, DAMP, MaskByHand(masks), by_hand], **common)
    without = train(tmp_path / "without", custom_hooks=[DAMP, static], **common)
    noiseless = train(tmp_path / "noiseless", custom_hooks=[CWFA, static], **common)
    after_first = [
        {key: value * masks[key] if key in masks else value for key, value in state.items()}
        for state in by_hand.states
    ]
    assert all(same(a, b) for a, b in zip(together.states, after_first))
    assert not same(together.states[-1], weights(without))
    assert not same(together.states[-1], weights(noiseless))


def test_a_resumed_run_of_all_three_is_the_uninterrupted_one(tmp_path):
    hooks = [CWFA, DAMP, dict(SPARSE, end=1.0)]
    common = dict(
        model=calm_segformer_cfg(),
        custom_hooks=hooks,
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3)),
    )
    whole = train(tmp_path / "whole", **common)
    start = str(tmp_path / "whole" / "iter_3.pth")
    resumed = train(tmp_path / "resumed", load_from=start, resume=True, **common)
    assert same(weights(whole), weights(resumed))
