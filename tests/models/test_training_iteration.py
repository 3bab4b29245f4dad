"""The iteration as components see it that hold no runner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mmengine.logging import MessageHub

from mmseg_robust.models.training_iteration import training_iteration, training_length


@pytest.fixture
def hub() -> Iterator[MessageHub]:
    made = MessageHub.get_instance("training_iteration")
    yield made
    made.pop_info("loop_stage", None)


def test_in_training_and_elsewhere(hub: MessageHub) -> None:
    hub.update_info("iter", 7)
    hub.update_info("max_iters", 90)
    assert training_iteration() is training_length() is None
    hub.update_info("loop_stage", "train")
    assert (training_iteration(), training_length()) == (7, 90)
    hub.update_info("loop_stage", "test")  # what a test leaves that ended with an error
    assert training_iteration() is training_length() is None
