"""DAMP, SAM and ASAM in every way of training: who meets which weights, and what is refused."""

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import DATASETS, MODEL_WRAPPERS, OPTIM_WRAPPERS
from mmengine.runner import Runner
from mmseg.registry import MODELS
from perturbed_runs import METHODS, OFF, plain_weights, record, still_cfg
from small_models import RandomScenes, one_stage, runner_cfg, same, segformer_cfg, train, weights
from small_runs import ROOT
from torch import nn
from torch.utils.data import Dataset

import mmseg_robust  # noqa: F401
from mmseg_robust.engine.hooks import DAMPHook, SharpnessAwareHook
from mmseg_robust.engine.weights.first_pass import FirstPass
from mmseg_robust.errors import InputError

ALL = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
SGD = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01))


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """The stock run of 20 iterations, with dropout."""
    return record(tmp_path_factory.mktemp("stock"), iters=20)


@pytest.mark.parametrize("off", OFF.values(), ids=OFF)
def test_off_is_the_stock_run_to_the_bit(tmp_path, stock, off):
    run = record(tmp_path, off, iters=20)
    assert len(run.states) == 20
    assert all(same(a, b) for a, b in zip(run.states, stock.states))
    assert [o["loss"] for o in run.outputs] == [o["loss"] for o in stock.outputs]


@ALL
def test_acts_from_begin_until_end(tmp_path, stock, method):
    run = record(tmp_path, dict(method, begin=2, end=4), iters=5)
    losses = [o["loss"] for o in run.outputs]
    assert losses[:2] == [o["loss"] for o in stock.outputs[:2]]
    assert [same(a, b) for a, b in zip(run.states, stock.states)] == [True] * 2 + [False] * 3
    acted = ["sharpness" in o for o in run.outputs]
    assert acted == ([False] * 2 + [True] * 2 + [False] if "rho" in method else [False] * 5)


class Watch(Hook):
    """Keeps the weights whenever it is called, and what the optimizer and the forward pass meet."""

    def __init__(self, priority):
        self.priority = priority
        self.seen = dict(before=[], after=[], forward=[], optimizer=[])

    def before_train(self, runner):
        model = runner.model
        model.backbone.register_forward_pre_hook(lambda *_: self.keep("forward", runner))
        runner.optim_wrapper.optimizer.register_step_pre_hook(
            lambda *_: self.keep("optimizer", runner)
        )

    def keep(self, where, runner):
        state = plain_weights(runner)
        parameters = dict(runner.model.named_parameters())
        self.seen[where].append({name: state[name] for name in parameters})

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.keep("before", runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.keep("after", runner)


@ALL
@pytest.mark.parametrize("priority", ["VERY_HIGH", "LOWEST"])
def test_only_the_step_meets_perturbed_weights(tmp_path, method, priority):
    watch = Watch(priority)
    hooks = [method, watch] if priority == "LOWEST" else [watch, method]
    record(tmp_path, *hooks, iters=3)
    seen = watch.seen
    for iteration in range(3):
        assert same(seen["optimizer"][iteration], seen["before"][iteration])
        assert not same(seen["after"][iteration], seen["before"][iteration])
    assert same(seen["before"][1], seen["after"][0])
    passes = len(seen["forward"]) // 3
    assert passes == (2 if "rho" in method else 1)
    met = seen["forward"][passes - 1 :: passes]
    assert not any(same(a, b) for a, b in zip(met, seen["before"]))


@ALL
def test_ema_averages_clean_weights(tmp_path, method):
    run = record(tmp_path, dict(type="EMAHook", momentum=0.5), method, iters=3)
    # MMEngine's first update copies, and the checkpoint holds the average as the model.
    first, second, third = run.states
    saved = torch.load(tmp_path / "iter_3.pth", weights_only=False)
    for key in ("backbone.layers.0.0.projection.weight", "decode_head.conv_seg.bias"):
        average = first[key].lerp(second[key], 0.5).lerp(third[key], 0.5)
        torch.testing.assert_close(saved["state_dict"][key], average)
        assert torch.equal(saved["ema_state_dict"][f"module.{key}"], third[key])


@ALL
def test_checkpoint_and_validation_are_stock(tmp_path, method):
    validated = []

    class Validated(Hook):
        def before_val_epoch(self, runner):
            validated.append(weights(runner))

    loader = dict(
        dataset=RandomScenes(4), batch_size=2, sampler=dict(type="DefaultSampler", shuffle=False),
        collate_fn=dict(type="pseudo_collate"),
    )  # fmt: skip
    runner = train(
        tmp_path, iters=2, custom_hooks=[method, Validated()], model=ConfigDict(segformer_cfg()),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2),
        val_cfg=dict(type="ValLoop"), val_dataloader=loader,
        val_evaluator=dict(type="IoUMetric", iou_metrics=["mIoU"]),
    )  # fmt: skip
    saved = torch.load(tmp_path / "iter_2.pth", weights_only=False)["state_dict"]
    assert same(saved, weights(runner))
    assert same(saved, validated[0])
    MODELS.build(segformer_cfg()).load_state_dict(saved, strict=True)
    for target in (runner.model, runner.optim_wrapper, runner.model.data_preprocessor):
        assert not {"train_step", "backward", "forward"} & set(vars(target)), "all is freed"
    assert not any(p._backward_hooks for p in runner.model.parameters())


@ALL
def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path, method):
    every_three = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3))
    common = dict(default_hooks=every_three, optim_wrapper=SGD)
    whole = record(tmp_path / "whole", method, model=still_cfg(), **common)
    checkpoint = str(tmp_path / "whole" / "iter_3.pth")
    resumed = record(
        tmp_path / "resumed", method, model=still_cfg(), load_from=checkpoint, resume=True, **common
    )
    assert same(whole.states[-1], resumed.states[-1])


@ALL
def test_gradient_checkpointing_repeats_the_step(tmp_path, method):
    """Re-entrant, as in the stock code: its second forward runs in the middle of the backward."""
    plain = record(tmp_path / "plain", method, double=True, iters=2, optim_wrapper=SGD)
    with_cp = record(
        tmp_path / "cp", method, double=True, iters=2, optim_wrapper=SGD,
        model=segformer_cfg(with_cp=True),
    )  # fmt: skip
    for key, value in plain.states[-1].items():
        if "running" not in key and "num_batches" not in key:
            torch.testing.assert_close(with_cp.states[-1][key], value, rtol=1e-7, atol=1e-9)


@MODELS.register_module()
class TwoLayers(BaseModel):
    """Smaller still."""

    def __init__(self, data_preprocessor):
        super().__init__(data_preprocessor=data_preprocessor)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)
        )

    def forward(self, inputs, data_samples=None, mode="tensor"):
        label = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        return dict(loss=nn.functional.cross_entropy(self.layers(inputs), label))


def compare_compiled(tmp_path, monkeypatch, method, backend, model):
    """MMEngine's own `compile` setting compiles the whole train_step."""
    left = []
    forget = FirstPass.forget
    monkeypatch.setattr(FirstPass, "forget", lambda self: left.append(self._batch) or forget(self))
    common = dict(double=True, iters=3, optim_wrapper=SGD, model=model)
    torch._dynamo.reset()
    compile_cfg = dict(compile=dict(backend=backend))
    compiled = record(tmp_path / "compiled", dict(method, begin=1), cfg=compile_cfg, **common)
    torch._dynamo.reset()
    eager = record(tmp_path / "eager", dict(method, begin=1), **common)
    for got, want in zip(compiled.states, eager.states):
        for key, value in want.items():
            torch.testing.assert_close(got[key], value, rtol=1e-7, atol=1e-10)
    assert not any(isinstance(batch, dict) for batch in left), "the step takes the prepared batch"


@pytest.mark.long
def test_compiled_segformer(tmp_path, monkeypatch):
    compare_compiled(tmp_path, monkeypatch, METHODS["asam"], "eager", one_stage(still_cfg()))


@pytest.mark.long
@pytest.mark.parametrize("name", ["damp-chain-rule", "asam"])
def test_compiled_with_its_own_backward(tmp_path, monkeypatch, name):
    """aot_eager also compiles the backward pass, with the hooks on parameters outside of it."""
    method = METHODS[name]
    model = dict(type="TwoLayers", data_preprocessor=segformer_cfg()["data_preprocessor"])
    compare_compiled(tmp_path, monkeypatch, method, "aot_eager", model)


class Trouble(Exception):
    """What the tests let a step raise."""


class Fail(Hook):
    """Lets pass number `when` through the backbone raise, forward or backward."""

    priority = "VERY_HIGH"

    def __init__(self, when, backward):
        self.when, self.backward = when, backward

    def before_train(self, runner):
        runner.model.backbone.register_forward_hook(self.run)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.clean = plain_weights(runner)

    def run(self, module, arguments, outputs):
        self.when -= 1
        if self.when == 0:
            if not self.backward:
                raise Trouble
            outputs[0].register_hook(self.fail)

    def fail(self, gradient):
        raise Trouble


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize(
    ("name", "when"),
    [("damp", 2), ("damp-chain-rule", 2), ("sam", 3), ("sam", 4), ("asam", 3), ("asam", 4)],
)
def test_a_step_that_raises_leaves_clean_weights(tmp_path, name, when, backward):
    """In the second iteration: its only pass, or the first or second of two."""
    fail = Fail(when, backward)
    runner = Runner(**runner_cfg(tmp_path, custom_hooks=[fail, METHODS[name]]))
    with pytest.raises(Trouble):
        runner.train()
    assert runner.iter == 1
    state = plain_weights(runner)
    for name, _ in runner.model.named_parameters():
        assert torch.equal(state[name], fail.clean[name])
    # The same runner can go on: what the failed training left is taken away.
    hook = next(h for h in runner.hooks if isinstance(h, (DAMPHook, SharpnessAwareHook)))
    hook.before_train(runner)
    hook.after_train(runner)
    assert "train_step" not in vars(runner.model)


@ALL
def test_a_loss_scaler_that_skips(tmp_path, method):
    """Gradients overflow in the first step alone: its weights are the initial ones, to the bit."""
    wrapper = dict(
        type="ScaledOptimWrapper", overflows=1, optimizer=dict(type="AdamW", lr=1e-3),
        clip_grad=dict(max_norm=1.0),
    )  # fmt: skip
    run = record(tmp_path, method, iters=3, optim_wrapper=wrapper)
    for key, value in run.initial.items():
        if "running" not in key and "num_batches" not in key:
            assert torch.equal(run.states[0][key], value)
            assert run.states[2][key].isfinite().all()
    assert not same(run.states[2], run.states[1])


@pytest.mark.parametrize("method", [METHODS["sam"], METHODS["asam"]], ids=["sam", "asam"])
def test_autocast_ends_between_the_passes(tmp_path, method):
    """Its cache of half-precision weights would hide the step: the losses would be the same."""
    run = record(tmp_path, method, iters=3, optim_wrapper=dict(SGD, type="ScaledOptimWrapper"))
    assert all(outputs["sharpness"] != 0 for outputs in run.outputs)


@pytest.mark.parametrize("pair", [("damp", "sam"), ("sam", "asam"), ("damp", "damp")], ids="-".join)
def test_two_perturbations_are_refused(tmp_path, pair):
    hooks = [METHODS[name] for name in pair]
    with pytest.raises(InputError, match=r"custom_hooks has \w+Hook and \w+Hook: each takes the"):
        record(tmp_path, *hooks)


@ALL
def test_several_optimizers_are_refused(tmp_path, method):
    runner = Runner(**runner_cfg(tmp_path, custom_hooks=[method]))
    optimizer = torch.optim.SGD(runner.model.parameters(), lr=0.1)
    runner.optim_wrapper = OptimWrapperDict(all=OptimWrapper(optimizer))
    with pytest.raises(InputError, match="is an OptimWrapperDict"):
        runner.train()


@MODEL_WRAPPERS.register_module()
class Sharded(nn.Module):
    """Stands for a wrapper that shards."""

    def __init__(self, module):
        super().__init__()
        self.module = module


@ALL
def test_sharded_models_are_refused(tmp_path, method):
    runner = Runner(**runner_cfg(tmp_path, custom_hooks=[method]))
    runner.model = Sharded(runner.model)
    hook = next(h for h in runner.hooks if isinstance(h, (DAMPHook, SharpnessAwareHook)))
    with pytest.raises(InputError, match="wrapped in Sharded, which shards"):
        hook.before_train(runner)


@OPTIM_WRAPPERS.register_module()
class OwnWay(OptimWrapper):
    """Does not go through its method `backward`."""

    def update_params(self, loss, step_kwargs=None, zero_kwargs=None):
        loss.backward()
        self.step()
        self.zero_grad()


@ALL
def test_a_wrapper_that_goes_its_own_way_ends_the_run(tmp_path, method):
    with pytest.raises(InputError, match=r"with OwnWay never called optim_wrapper\.backward"):
        record(tmp_path, method, optim_wrapper=dict(SGD, type="OwnWay"))


def test_a_window_after_the_end_warns_in_the_log(tmp_path):
    runner = train(tmp_path, iters=2, custom_hooks=[dict(METHODS["damp"], begin=100)])
    log = (tmp_path / runner.timestamp / f"{runner.timestamp}.log").read_text()
    assert "DAMPHook will never act: it begins at iteration 100, but the run ends after 2" in log


@DATASETS.register_module()
class Colours(Dataset):
    """Images of the shape of CIFAR-10, whose colour tells the class; made in memory."""

    def __len__(self):
        return 32

    def __getitem__(self, index):
        from mmpretrain.structures import DataSample

        image = torch.randint(0, 100, (3, 32, 32), generator=torch.Generator().manual_seed(index))
        image[index % 3] += 100
        return dict(inputs=image.to(torch.uint8), data_samples=DataSample().set_gt_label(index % 3))


def train_classifier(work_dir, hooks):
    """Train the shipped example, narrower, on toy data and with mixup; its weights and losses."""
    cfg = Config.fromfile(ROOT / "configs/resnet/resnet18-damp_8xb16_cifar10.py")
    assert cfg.custom_hooks[0].type == "DAMPHook"
    cfg.model.backbone.update(stem_channels=8, base_channels=8)
    cfg.model.head.update(in_channels=64, loss=dict(type="CrossEntropyLoss", use_soft=True))
    cfg.model.train_cfg = dict(augments=dict(type="Mixup", alpha=0.8))
    cfg.train_cfg.max_epochs = 2
    cfg.train_dataloader = dict(
        dataset=dict(type="Colours"), batch_size=8, collate_fn=dict(type="default_collate"),
        sampler=dict(type="DefaultSampler", shuffle=True),
    )  # fmt: skip
    for task in ("val", "test"):
        cfg[f"{task}_dataloader"] = cfg[f"{task}_cfg"] = cfg[f"{task}_evaluator"] = None
    cfg.work_dir = str(work_dir)
    cfg.randomness.seed = 0
    cfg.custom_hooks = hooks
    runner = Runner.from_cfg(cfg)
    runner.train()
    return weights(runner), runner.message_hub.get_scalar("train/loss").data[0]


def test_a_classifier_of_mmpretrain(tmp_path):
    """By custom_hooks alone. Mixup draws once a step, as a step of length 0 in float32 shows."""
    pytest.importorskip("mmpretrain")
    stock, losses = train_classifier(tmp_path / "stock", [])
    for name, method in METHODS.items():
        state, found = train_classifier(tmp_path / name, [method])
        assert not same(state, stock)
        assert len(found) == 8
        assert all(value.isfinite().all() for value in state.values())
    tiny, found = train_classifier(tmp_path / "tiny", [dict(METHODS["sam"], rho=1e-60)])
    assert same(tiny, stock)
    assert list(found) == list(losses)


@pytest.mark.gpu
@ALL
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_amp_on_a_gpu(tmp_path, method, dtype):
    watch = Watch("LOWEST")
    wrapper = dict(
        type="AmpOptimWrapper", dtype=dtype, optimizer=dict(type="AdamW", lr=1e-3),
        clip_grad=dict(max_norm=1.0), accumulative_counts=2, loss_scale=dict(init_scale=64.0),
    )  # fmt: skip
    run = record(tmp_path, watch, method, iters=6, optim_wrapper=wrapper)
    assert all(value.isfinite().all() for value in run.states[-1].values())
    assert not same(run.states[-1], run.initial)
    for met, clean in zip(watch.seen["optimizer"], watch.seen["before"][1::2]):
        assert same(met, clean)
    if "rho" in method:  # else autocast's cache has hidden the step
        assert all(outputs["sharpness"] != 0 for outputs in run.outputs)


@pytest.mark.gpu
@ALL
def test_a_loss_scaler_that_skips_on_a_gpu(tmp_path, method):
    wrapper = dict(
        type="AmpOptimWrapper", dtype="float16", optimizer=dict(type="AdamW", lr=1e-3),
        loss_scale=dict(init_scale=2.0**127, backoff_factor=2.0**-115),
    )  # fmt: skip
    run = record(tmp_path, method, iters=3, optim_wrapper=wrapper)
    named = [key for key in run.initial if "running" not in key and "num_batches" not in key]
    assert all(torch.equal(run.states[0][key], run.initial[key]) for key in named)
    assert all(run.states[2][key].isfinite().all() for key in named)
    assert any(not torch.equal(run.states[2][key], run.initial[key]) for key in named)
