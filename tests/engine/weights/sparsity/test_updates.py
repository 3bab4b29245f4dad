"""Drop and grow: exact numbers, ties, what is kept."""

import pytest
import torch

from mmseg_robust.engine.weights.sparsity.updates import (
    drop,
    grow,
    prune_together,
    random_generator,
    top,
)


def where(mask):
    return mask.nonzero().flatten().tolist()


@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_top_is_exact_and_takes_the_first_of_equals(count):
    scores = torch.tensor([1.0, 5, 1, 5, 5, 0, 1, 0])
    assert where(top(scores, count)) == sorted([1, 3, 4, 0, 2, 6, 5, 7][:count])


def test_top_of_constant_scores_is_exact_for_many_entries():
    for size in (1000, 4097):
        assert where(top(torch.zeros(size), 333)) == list(range(333))


def test_drop_keeps_the_largest_active_ones():
    active = torch.tensor([True, True, False, True, True])
    assert where(drop(torch.tensor([0.3, 0.1, 9.0, 0.2, 0.0]), active, 2)) == [0, 3]
    # Active weights of size 0, which have just grown, come before inactive ones.
    assert where(drop(torch.zeros(5), active, 4)) == [0, 1, 3, 4]


def test_grow_keeps_what_is_kept_and_can_take_the_dropped():
    kept = torch.tensor([True, False, False, True, False])
    gradients = torch.tensor([0.0, 5.0, 1.0, 0.0, 7.0])
    assert where(grow(gradients, kept, 4)) == [0, 1, 3, 4]
    assert where(grow(gradients, kept, 2)) == [0, 3]
    assert where(grow(gradients, kept, 5)) == [0, 1, 2, 3, 4]


def test_values_that_are_not_finite_do_not_break_the_numbers():
    bad = torch.tensor([float("nan"), float("inf"), 2.0, float("inf"), 1.0])
    kept = torch.tensor([False, False, True, False, True])
    assert where(grow(bad, kept, 3)) == [1, 2, 4]
    assert drop(bad, ~kept, 2).sum() == 2
    assert not (drop(bad, ~kept, 2) & kept).any()


def test_pruning_together_is_exact_over_layers_and_leaves_none_empty():
    scores = [torch.tensor([0.1, 0.2, 0.0]), torch.tensor([5.0, 4.0, 3.0, 2.0])]
    active = [torch.tensor([True, True, False]), torch.ones(4, dtype=torch.bool)]
    assert [where(m) for m in prune_together(scores, active, 4)] == [[1], [0, 1, 2]]
    # More than are active: nothing inactive comes in.
    assert [where(m) for m in prune_together(scores, active, 7)] == [[0, 1], [0, 1, 2, 3]]


def test_draws_depend_on_seed_and_update_alone():
    state = torch.get_rng_state()

    def draw(seed, number):
        return torch.rand(8, generator=random_generator(seed, number, torch.device("cpu"))).tolist()

    assert draw(0, 5) == draw(0, 5)
    assert len({tuple(draw(s, n)) for s in range(4) for n in range(4)}) == 16
    assert torch.equal(torch.get_rng_state(), state)
