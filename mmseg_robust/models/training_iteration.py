"""Which iteration of a training run it is, for components that hold no runner."""

from __future__ import annotations

from mmengine.logging import MessageHub


def training_iteration() -> int | None:
    """Number of the current training iteration (micro-batch) under an MMEngine runner.

    It comes from the message hub, so it is right after a resume.

    Returns:
        int | None: From 0; None outside a training run, as in a plain loop. A test that ended with
        an error leaves its stage in the hub, which is no training run.
    """
    hub = MessageHub.get_current_instance()
    return hub.get_info("iter") if hub.get_info("loop_stage") == "train" else None


def training_length() -> int | None:
    """Number of iterations of the training run.

    Returns:
        int | None: See :func:`training_iteration`.
    """
    hub = MessageHub.get_current_instance()
    return hub.get_info("max_iters") if hub.get_info("loop_stage") == "train" else None
