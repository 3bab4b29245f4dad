"""Methods of one object are extended and freed again."""

import pytest
import torch

from mmseg_robust.engine.weights.extend import call_after, call_around


class Machine:
    def __init__(self):
        self.log = []

    def run(self, value, twice=False):
        """Run it."""
        self.log.append("run")
        if value is None:
            raise ValueError("no value")
        return value * 2 if twice else value


def test_called_after_the_method_of_this_object_alone():
    machine, other = Machine(), Machine()
    call_after(machine, "run", lambda: machine.log.append("after"))
    assert machine.run(3, twice=True) == 6
    assert other.run(3) == 3
    assert machine.log == ["run", "after"]
    assert other.log == ["run"]


def test_called_after_a_method_that_raises():
    machine = Machine()
    call_after(machine, "run", lambda: machine.log.append("after"))
    with pytest.raises(ValueError, match="no value"):
        machine.run(None)
    assert machine.log == ["run", "after"]


def test_called_around_the_method():
    machine = Machine()
    call_around(machine, "run", lambda run, value, **options: run(value + 1, **options) + 0.5)
    assert machine.run(1, twice=True) == 4.5


def test_name_and_attributes_stay():
    machine = Machine()
    call_after(machine, "run", lambda: None)
    machine.run._with_counter = True  # as learning rate schedulers mark `step`
    call_around(machine, "run", lambda run, *args: run(*args))
    assert machine.run.__name__ == "run"
    assert machine.run.__doc__ == "Run it."
    assert machine.run._with_counter


@pytest.mark.parametrize("extend", [call_after, call_around])
def test_undo_leaves_the_object_as_it_was(extend):
    machine = Machine()
    undo = extend(machine, "run", lambda *args: None)
    assert "run" in vars(machine)
    undo()
    assert "run" not in vars(machine)
    assert machine.run(3) == 3


def test_undo_in_reverse_order():
    machine = Machine()
    machine.run = original = lambda value: value  # an object's own method stays its own
    undo_first = call_after(machine, "run", lambda: machine.log.append("first"))
    undo_second = call_after(machine, "run", lambda: machine.log.append("second"))
    machine.run(1)
    assert machine.log == ["first", "second"]
    undo_second()
    machine.run(1)
    assert machine.log == ["first", "second", "first"]
    undo_first()
    assert machine.run is original


def test_compiled_code_calls_it_once_a_call():
    machine = Machine()
    calls = []
    call_after(machine, "run", lambda: calls.append(len(calls)))

    @torch.compile(backend="eager")
    def step(value):
        return machine.run(value + 1) * 2

    torch._dynamo.reset()
    assert [step(torch.tensor(v)).item() for v in (1, 2, 3)] == [4, 6, 8]
    assert calls == [0, 1, 2]
    torch._dynamo.reset()
