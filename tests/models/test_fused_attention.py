"""Fused attention gives what stock attention gives, and does not get in the way of anything."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_models import build_backbone, segformer_cfg
from torch import Tensor, nn

from mmseg_robust.errors import InputError
from mmseg_robust.models.fused_attention import attention_as, check_paths, fuse_attention

STILL = dict(drop_rate=0.0, drop_path_rate=0.0)
# One stage of one layer, because tracing is slow.
SMALLEST = dict(
    num_stages=1, num_layers=[1], num_heads=[2], patch_sizes=[7], strides=[4], sr_ratios=[8],
    out_indices=(0,),
)  # fmt: skip
MODULES = {"mit": 5, "twins-pcpvt": 8, "twins-svt": 4}
"""Modules of each small backbone that call nn.MultiheadAttention; SVT's other half has its own."""


def attentions(model: nn.Module) -> list[nn.MultiheadAttention]:
    return [module for module in model.modules() if isinstance(module, nn.MultiheadAttention)]


def hooks(model: nn.Module) -> int:
    """Forward pre-hooks of all attention modules."""
    return sum(len(module._forward_pre_hooks) for module in attentions(model))


def image(size: int = 2, **options: Any) -> Tensor:
    return torch.randn(size, 3, 64, 64, generator=torch.Generator().manual_seed(1)).to(**options)


def results(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Outputs, and gradients of inputs and parameters."""
    inputs = inputs.clone().requires_grad_()
    outputs = model(inputs)
    # Of a fixed direction: norms take the size of what passes them, and its gradient is none.
    draw = torch.Generator().manual_seed(2)
    directions = [torch.randn(out.shape, generator=draw).to(out) for out in outputs]
    sum((out * way).sum() for out, way in zip(outputs, directions)).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    named = {f"output {index}": out.detach() for index, out in enumerate(outputs)}
    return {**named, "input": inputs.grad, **gradients}


def assert_near(one: dict[str, Tensor], other: dict[str, Tensor], **tolerance: float) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], msg=lambda m, k=key: f"{k}: {m}", **tolerance)


class Calls:
    """Counts the calls of functions of :mod:`torch.nn.functional`."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        self.count: dict[str, int] = {}
        self.last: tuple = ()

    def watch(self, name: str, owner: Any = F) -> None:
        plain: Callable[..., Any] = getattr(owner, name)
        self.count[name] = 0

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.count[name] += 1
            self.last = args
            return plain(*args, **kwargs)

        self.patch.setattr(owner, name, watched)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Of what computes attention in each way."""
    watched = Calls(monkeypatch)
    watched.watch("scaled_dot_product_attention")
    watched.watch("softmax")
    return watched


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_gradients_are_those_of_stock(name: str, training: bool, calls: Calls) -> None:
    changes = STILL if name == "mit" else dict(drop_path_rate=0.0)
    model = build_backbone(name, training=training, **changes).double()
    keys = model.state_dict().keys()
    stock = results(model, image(dtype=torch.float64))
    assert calls.count == {"scaled_dot_product_attention": 0, "softmax": MODULES[name]}
    reached, undo = fuse_attention(model)
    assert reached == MODULES[name] == len(attentions(model))
    weights = []
    for module in attentions(model):
        module.register_forward_hook(lambda m, args, output: weights.append(output[1]))
    fused = results(model, image(dtype=torch.float64))
    assert calls.count == {"scaled_dot_product_attention": reached, "softmax": reached}
    assert weights == [None] * reached
    assert len(fused) > 4
    assert_near(fused, stock, rtol=1e-10, atol=1e-10)
    assert model.state_dict().keys() == keys
    undo()
    assert hooks(model) == 0
    assert_near(results(model, image(dtype=torch.float64)), stock, rtol=0, atol=0)


class Owner(nn.Module):
    """Attention that no wrapper of mmcv owns."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, dropout, batch_first=True)
        self.linear = nn.Linear(16, 16)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return self.attention(query, key, key)[0]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("own_keys", [True, False])
def test_named_modules_in_every_mode(
    training: bool, grad: bool, autocast: bool, own_keys: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's inference fast path is taken with weights and without, or with neither."""
    calls = Calls(monkeypatch)
    calls.watch("_native_multi_head_attention", torch)
    model = Owner().train(training)
    query = torch.randn(3, 10, 16)
    key = torch.randn(3, 5, 16) if own_keys else query

    def output() -> tuple[Tensor, int]:
        calls.count["_native_multi_head_attention"] = 0
        with torch.set_grad_enabled(grad), torch.autocast("cpu", torch.bfloat16, autocast):
            return model(query, key), calls.count["_native_multi_head_attention"]

    stock = output()
    assert fuse_attention(model, ["attention"])[0] == 1
    fused = output()
    assert fused[1] == stock[1] == (not training and not grad and not own_keys)
    assert fused[0].dtype == stock[0].dtype == (torch.bfloat16 if autocast else torch.float32)
    tolerance = dict(rtol=2**-6, atol=2**-7) if autocast else dict(rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fused[0], stock[0], **tolerance)


def test_mmcv_wrappers_never_take_the_inference_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their nn.MultiheadAttention is not batch_first, which that path needs."""
    calls = Calls(monkeypatch)
    calls.watch("_native_multi_head_attention", torch)
    model = build_backbone("mit", training=False)
    fuse_attention(model)
    with torch.no_grad():
        model(image())
    assert calls.count["_native_multi_head_attention"] == 0


def test_attention_dropout_goes_on_in_training_alone(calls: Calls) -> None:
    model = Owner(dropout=0.3)
    fuse_attention(model, ["attention"])
    for training, probability in ((True, 0.3), (False, 0.0)):
        model.train(training)(torch.randn(3, 10, 16), torch.randn(3, 5, 16))
        assert calls.last[4] == probability  # after query, key, value and mask
    assert calls.count["scaled_dot_product_attention"] == 2


def test_who_states_need_weights_gets_them() -> None:
    model = Owner()
    fuse_attention(model, ["attention"])
    query = torch.randn(3, 10, 16)
    assert model.attention(query, query, query)[1] is None
    assert model.attention(query, query, query, need_weights=True)[1].shape == (3, 10, 10)
    assert model.attention(query, query, query, None, True)[1].shape == (3, 10, 10)
    assert model.attention(query, query, query, None, False)[1] is None


def test_others_are_not_reached_unless_they_are_named() -> None:
    model = nn.ModuleDict({"own": Owner(), "mit": build_backbone("mit")})
    assert fuse_attention(model)[0] == 5
    assert hooks(model["own"]) == 0
    assert fuse_attention(model, ["own.attention", "mit.layers.0.1.0.attn.attn"])[0] == 6
    assert hooks(model) == 6
    assert fuse_attention(build_backbone("resnet"))[0] == 0


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["atention"], "no module 'atention'. The model has 'attention'. Paths are those of"),
        (["linear"], "'linear' is a Linear, no nn.MultiheadAttention. The model has 'attention'"),
        ([""], "'' is a Owner, no nn.MultiheadAttention"),
        ("attention", "must be a list of module paths, but is 'attention'"),
        ([0], r"must be a list of module paths, but is \[0\]"),
        (3, "must be a list of module paths, but is 3"),
    ],
)
def test_wrong_paths(paths: Any, message: str) -> None:
    model = Owner()
    with pytest.raises(InputError, match=message):
        fuse_attention(model, paths)
    assert hooks(model) == 0


def test_paths_are_checked_without_a_model() -> None:
    check_paths(("anything",))
    with pytest.raises(InputError, match="but is None"):
        check_paths(None)  # type: ignore[arg-type]


def test_each_undoes_what_it_added() -> None:
    model = build_backbone("mit", **SMALLEST)
    count, undo = fuse_attention(model)
    again, undo_again = fuse_attention(model)
    assert count == again == hooks(model) == 1
    undo_again()
    assert hooks(model) == 1
    undo()
    undo()
    assert hooks(model) == 0


def test_attention_for_a_while() -> None:
    model = nn.ModuleDict({"own": Owner(), "mit": build_backbone("mit", **SMALLEST)})
    others = model["own"].attention.register_forward_pre_hook(lambda module, args: None)
    with attention_as(model, "fused"):
        assert hooks(model) == 1 + 1
    assert hooks(model) == 1
    undo = fuse_attention(model, ["own.attention"])[1]
    with attention_as(model, "fused"):
        assert hooks(model) == 1 + 2
    with pytest.raises(ZeroDivisionError), attention_as(model, "stock"):
        assert hooks(model) == 1, "also what was named; the hooks of others stay"
        raise ZeroDivisionError
    assert hooks(model) == 1 + 2
    undo()
    assert hooks(model) == 1
    others.remove()
    with pytest.raises(InputError, match="one of fused, stock, got 'flash'"):
        attention_as(model, "flash").__enter__()


@pytest.mark.parametrize("how", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_fused_and_independent(how: Callable, calls: Calls) -> None:
    model = build_backbone("mit", training=False, **SMALLEST)
    expected = model(image())
    undo = fuse_attention(model)[1]
    twin = how(model)
    undo()
    assert (hooks(model), hooks(twin)) == (0, 1)
    calls.count["scaled_dot_product_attention"] = 0
    for got, want in zip(twin(image()), expected):
        torch.testing.assert_close(got, want)
    assert calls.count["scaled_dot_product_attention"] == 1
    assert twin.state_dict().keys() == model.state_dict().keys()


def test_compiled_it_is_one_graph_with_fused_attention() -> None:
    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd

    graphs: list[list[str]] = []

    def keep(graph: Any, inputs: Any) -> Any:
        graphs.append([str(node.target) for node in graph.graph.nodes])
        return make_boxed_func(graph.forward)

    model = build_backbone("mit", **STILL, **SMALLEST).layers[0][1][0].attn
    fuse_attention(model)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend=aot_autograd(fw_compiler=keep), fullgraph=True)
    for _ in range(3):
        tokens = torch.randn(2, 256, model.embed_dims, requires_grad=True)
        output, expected = compiled(tokens, (16, 16)), model(tokens, (16, 16))
        torch.testing.assert_close(output, expected)
        gradients = [torch.autograd.grad(out.square().sum(), tokens) for out in (output, expected)]
        torch.testing.assert_close(*gradients)
    forward, backward = graphs  # neither a break nor a second trace
    assert sum("_scaled_dot_product" in target for target in forward) == 1
    assert not any("softmax" in target for target in forward)
    assert sum("_scaled_dot_product" in target for target in backward) == 1
    torch._dynamo.reset()


def test_gradient_checkpointing(calls: Calls) -> None:
    model = build_backbone("mit", **STILL).double()
    stock = results(model, image(dtype=torch.float64))
    fuse_attention(model)
    for module in model.modules():
        if hasattr(module, "with_cp"):
            module.with_cp = True
    fused = results(model, image(dtype=torch.float64))
    assert calls.count["scaled_dot_product_attention"] == 2 * 5, "forward and again in backward"
    assert_near(fused, stock, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MODULES)
def test_autocast_on_the_cpu(name: str) -> None:
    model = build_backbone(name, training=False)
    exact = results(copy.deepcopy(model).double(), image(dtype=torch.float64))
    stock, fused = both_under_autocast(model, image(), torch.bfloat16)
    assert_no_worse(fused, stock, exact)


def both_under_autocast(model: nn.Module, inputs: Tensor, dtype: torch.dtype) -> Iterator[dict]:
    """Results with stock attention, and with fused attention."""
    with torch.autocast(inputs.device.type, dtype):
        yield results(model, inputs)
        fuse_attention(model)
        yield results(model, inputs)


def assert_no_worse(fused: dict, stock: dict, exact: dict) -> None:
    """Holds the rounding errors against those of the stock attention at the same precision."""
    assert fused.keys() == stock.keys() == exact.keys()

    def error(own: dict) -> float:
        differences = [(own[k].double() - exact[k]).norm() / exact[k].norm() for k in exact]
        return torch.stack(differences).mean().item()

    assert all(fused[key].dtype == stock[key].dtype for key in exact)
    assert 0 < error(fused) < 1.5 * error(stock)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", MODULES)
def test_half_precision_on_a_gpu(name: str, dtype: torch.dtype) -> None:
    """No kernel is allowed that writes the weights out."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    model = build_backbone(name, training=False).cuda()
    inputs = image(device="cuda")
    exact = results(copy.deepcopy(model).double(), inputs.double())
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]):
        stock, fused = both_under_autocast(model, inputs, dtype)
    assert_no_worse(fused, stock, exact)


def test_a_segmentor_in_distributed_training(tmp_path: Any) -> None:
    """The whole SegFormer in PyTorch's wrapper, one process."""
    from mmseg.registry import MODELS as REGISTRY
    from torch.nn.parallel import DistributedDataParallel

    model = REGISTRY.build(segformer_cfg(**STILL)).eval()
    stock = results(model, image())
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        wrapped = DistributedDataParallel(model)
        assert fuse_attention(wrapped)[0] == 5
        fused = results(wrapped, image())
    finally:
        torch.distributed.destroy_process_group()
    renamed = {key.removeprefix("module."): value for key, value in fused.items()}
    assert_near(renamed, stock, rtol=1e-3, atol=1e-5)
