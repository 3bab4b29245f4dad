"""Add a call to a method of one object, and take it away again.

Weight methods act in the middle of a training step, where MMEngine calls no hook: after the
backward pass and after the optimizer's step. They extend these methods of the optimizer wrapper and
the optimizer that a run has, whatever their class is, so that a stock ``optim_wrapper`` goes on
working. PyTorch's own step hooks are no way: older ``torch.compile`` leaves them out silently.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch


def call_after(target: Any, method: str, callback: Callable[[], None]) -> Callable[[], None]:
    """Call something after each call of a method of one object, also when the method raises.

    Args:
        target (object): The object; others of its class stay as they are.
        method (str): The method's name.
        callback (Callable): Called without arguments. ``torch.compile`` does not trace it.

    Returns:
        Callable: Takes the extension away. Extensions of one method go in the reverse order.
    """
    inner = getattr(target, method)

    # Keeps name and attributes: schedulers mark the `step` that they have wrapped.
    @functools.wraps(inner)
    def extended(*args: Any, **kwargs: Any) -> Any:
        try:
            return inner(*args, **kwargs)
        finally:
            callback()

    return _put(target, method, torch._dynamo.disable(extended))


def call_around(target: Any, method: str, around: Callable[..., Any]) -> Callable[[], None]:
    """Call something in the place of a method of one object.

    Args:
        target (object): The object; others of its class stay as they are.
        method (str): The method's name.
        around (Callable): Called with the method and then with what the method is called with;
            its result is the method's. Where ``torch.compile`` traces the method it traces this.

    Returns:
        Callable: Takes the extension away. Extensions of one method go in the reverse order.
    """
    inner = getattr(target, method)

    @functools.wraps(inner)
    def extended(*args: Any, **kwargs: Any) -> Any:
        return around(inner, *args, **kwargs)

    return _put(target, method, extended)


def _put(target: Any, method: str, extended: Callable[..., Any]) -> Callable[[], None]:
    """Set an object's own method; returns what undoes it."""
    own = target.__dict__.get(method)  # an extension that is there already
    setattr(target, method, extended)

    def undo() -> None:
        if own is None:
            delattr(target, method)
        else:
            setattr(target, method, own)

    return undo
