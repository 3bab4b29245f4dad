"""Fused attention for models that throw away the weights that they ask for.

mmcv's ``MultiheadAttention`` and its subclasses (those of MiT and Twins among them) call
``nn.MultiheadAttention`` without a word on ``need_weights`` and read the first of its results. The
default is True, so PyTorch writes the weights, (N * heads, L, S) for L queries and S keys, out to
memory and never takes ``scaled_dot_product_attention``, whose kernels keep them on the chip. Here a
forward pre-hook says ``need_weights=False`` where the caller said nothing. The sums are the same in
another order: outputs are equal to rounding.

Parameters, keys and the modules' classes stay as they are.

Known differences, both of PyTorch's own kernels:

* Attention dropout (0 in the stock configs) may draw other numbers: a kernel may have a generator
  of its own.
* A query all of whose keys are masked gets 0 where a kernel computes it; with weights it gets NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from torch import nn

from mmseg_robust.errors import InputError

ATTENTION = ("fused", "stock")
"""Names of the two ways to compute attention."""
# Where the caller may state it without its name: forward(query, key, value, key_padding_mask, ...).
_NEED_WEIGHTS = 4

Undo = Callable[[], None]


def fuse_attention(model: nn.Module, modules: Sequence[str] = ()) -> tuple[int, Undo]:
    """Has attention computed without its weights, by mmcv's wrappers and by named modules.

    A call that states ``need_weights`` is left alone. Whatever else gets the second result of an
    ``nn.MultiheadAttention`` that is reached, a forward hook of it say, gets None.

    Modules that are fused already are reached again but not undone twice. A deep copy, or a pickled
    model, has the hooks that the model had. A graph that ``torch.compile`` traced before keeps what
    it was traced with.

    Args:
        model (nn.Module): Any model; also one in a wrapper, except for ``modules``.
        modules (sequence of str): Paths in the model of each further ``nn.MultiheadAttention``
            whose caller uses the first result alone. Default: none.

    Returns:
        tuple[int, Callable]: How many modules it reached, and what takes away from the model what
        this call added.

    Raises:
        InputError: If a path is not in the model or is that of something else.
    """
    reached = dict.fromkeys([*_in_wrappers(model), *_named(model, modules)])
    added = [module for module in reached if not _is_fused(module)]
    _fuse(added)
    return len(reached), lambda: _unfuse(added)


@contextmanager
def attention_as(model: nn.Module, attention: str) -> Iterator[None]:
    """Has attention computed in one way for a while, and in the way it was before afterwards.

    Args:
        model (nn.Module): Any model, also one in a wrapper.
        attention (str): ``'fused'``, see :func:`fuse_attention`; or ``'stock'``, which also takes
            away what others have fused.

    Yields:
        None: Meanwhile.

    Raises:
        InputError: If ``attention`` is neither.
    """
    check_attention(attention)
    if attention == "fused":
        undo = fuse_attention(model)[1]
    else:
        fused = [module for module in _attentions(model) if _is_fused(module)]
        _unfuse(fused)

        def undo() -> None:
            _fuse(fused)

    try:
        yield
    finally:
        undo()


def check_attention(attention: str) -> str:
    """Checks the name of a way to compute attention.

    Args:
        attention (str): The name.

    Returns:
        str: The same.

    Raises:
        InputError: If it is none of ``ATTENTION``.
    """
    if attention not in ATTENTION:
        raise InputError(f"attention must be one of {', '.join(ATTENTION)}, got {attention!r}.")
    return attention


def check_paths(modules: Sequence[str]) -> None:
    """Checks what can be checked of named modules without the model.

    Args:
        modules (sequence of str): Paths in a model.

    Raises:
        InputError: If it is no list of texts.
    """
    listed = isinstance(modules, Sequence) and not isinstance(modules, str)
    if not listed or any(not isinstance(path, str) for path in modules):
        raise InputError(f"modules must be a list of module paths, but is {modules!r}.")


def _in_wrappers(model: nn.Module) -> Iterator[nn.MultiheadAttention]:
    from mmcv.cnn.bricks.transformer import MultiheadAttention  # hooks load without mmcv

    for module in model.modules():
        if isinstance(module, MultiheadAttention) and isinstance(
            module.attn, nn.MultiheadAttention
        ):
            yield module.attn


def _named(model: nn.Module, paths: Sequence[str]) -> Iterator[nn.MultiheadAttention]:
    check_paths(paths)
    by_path = dict(model.named_modules())
    known = [path for path, module in by_path.items() if isinstance(module, nn.MultiheadAttention)]
    for path in paths:
        module = by_path.get(path)
        if isinstance(module, nn.MultiheadAttention):
            yield module
            continue
        fault = (
            f"The model has no module {path!r}"
            if module is None
            else f"{path!r} is a {type(module).__name__}, no nn.MultiheadAttention"
        )
        close = get_close_matches(path, known, n=3, cutoff=0.4) or known[:3]
        hint = f" The model has {', '.join(map(repr, close))}." if close else ""
        raise InputError(f"{fault}.{hint} Paths are those of model.named_modules().")


def _attentions(model: nn.Module) -> Iterator[nn.MultiheadAttention]:
    return (module for module in model.modules() if isinstance(module, nn.MultiheadAttention))


# An own function and not a closure, by which hooks are found again in a copy and which pickles.
def _without_weights(
    module: nn.Module, args: tuple, kwargs: dict[str, Any]
) -> tuple[tuple, dict[str, Any]] | None:
    """Forward pre-hook that states ``need_weights`` if the caller does not."""
    if len(args) > _NEED_WEIGHTS or "need_weights" in kwargs:
        return None
    return args, {**kwargs, "need_weights": False}


def _is_fused(module: nn.Module) -> bool:
    return _without_weights in module._forward_pre_hooks.values()


def _fuse(modules: Iterable[nn.Module]) -> None:
    for module in modules:
        module.register_forward_pre_hook(_without_weights, with_kwargs=True)


def _unfuse(modules: Iterable[nn.Module]) -> None:
    for module in modules:
        # Not by the handle: what one added, another may have taken away and put back.
        hooks = module._forward_pre_hooks
        for key in [key for key, hook in hooks.items() if hook is _without_weights]:
            del hooks[key]
            module._forward_pre_hooks_with_kwargs.pop(key, None)
