"""The decorator for what ``torch.compile`` must not trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch._dynamo.testing

from mmseg_robust.not_compiled import not_compiled


class Step:
    """Counts on the host between two computations."""

    def __init__(self) -> None:
        self.calls = 0
        self.traced = False

    def count(self, value: torch.Tensor) -> torch.Tensor:
        """What the decorators are put before."""
        self.calls += 1
        self.traced = self.traced or torch.compiler.is_compiling()
        return value * 2

    def __call__(self, value: torch.Tensor) -> torch.Tensor:
        return self.count(value + 1).relu() + self.calls * 0


def compiled_three_times(decorate: Callable, monkeypatch: pytest.MonkeyPatch) -> tuple[Step, int]:
    """The step after three calls, and how many graphs were compiled."""
    monkeypatch.setattr(Step, "count", decorate(Step.count))
    torch._dynamo.reset()
    counter, step = torch._dynamo.testing.CompileCounter(), Step()
    run = torch.compile(step.__call__, backend=counter)
    for _ in range(3):
        assert torch.equal(run(torch.tensor([-3.0, 1.0])), torch.tensor([0.0, 4.0]))
    torch._dynamo.reset()
    return step, counter.frame_count


def test_it_acts_as_the_compiler_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Called each time, not traced, and no graph more than with the decorator that is for users."""
    with monkeypatch.context() as patch:
        _, expected = compiled_three_times(torch.compiler.disable, patch)
    step, graphs = compiled_three_times(not_compiled, monkeypatch)
    assert (step.calls, step.traced) == (3, False)
    assert graphs == expected > 0
