"""Each method's numbers over a whole schedule, and its choice of weights."""

import pytest
import torch
from sparse_reference import settings

from mmseg_robust.engine.weights.sparsity.densities import Layer
from mmseg_robust.engine.weights.sparsity.rules import build_rule
from mmseg_robust.engine.weights.sparsity.schedule import UpdateSchedule

LAYERS = [Layer("first", (10, 10), True), Layer("a", (20, 30)), Layer("b", (40, 10))]
SCHEDULE = UpdateSchedule(1, 0.4, 10)


def start(method, **changes):
    """The rule, and weights, gradients and first masks of its masked layers."""
    rule = build_rule(settings(method, **changes), LAYERS)
    generator = torch.Generator().manual_seed(1)
    sizes = [LAYERS[i].size for i in rule.masked()]
    weights = [torch.randn(size, generator=generator) for size in sizes]
    gradients = [torch.randn(size, generator=generator) for size in sizes]
    counts = [rule.first_counts()[i] for i in rule.masked()]
    masks = rule.first_masks(weights, counts)
    weights = [weight * mask for weight, mask in zip(weights, masks)]
    return rule, weights, gradients, masks


def numbers(method, **changes):
    """Active weights of each masked layer at the start and after each of ten updates."""
    rule, weights, gradients, masks = start(method, **changes)
    found = [[int(mask.sum()) for mask in masks]]
    for number in range(1, 11):
        masks = rule.update(number, SCHEDULE, weights, gradients, masks)
        found.append([int(mask.sum()) for mask in masks])
    return found


@pytest.mark.parametrize("method", ["set", "rigl"])
def test_set_and_rigl_keep_each_layers_number(method):
    assert numbers(method) == [[300, 200]] * 11


def test_mest_has_its_surplus_until_the_last_change():
    found = numbers("mest")
    assert found[0] == [330, 220]
    assert found[10] == [300, 200]
    firsts = [first for first, _ in found]
    assert firsts == sorted(firsts, reverse=True)
    assert firsts[9] > 300
    assert numbers("mest", memory_bound=0.0) == [[300, 200]] * 11
    assert numbers("mest", memory_bound=9.0)[0] == [600, 400], "no more than there are"


def test_granet_prunes_all_layers_together_by_the_cube():
    found = numbers("granet", initial_sparsity=0.2)
    assert found[0] == [480, 320]
    for number, counts in enumerate(found):
        assert sum(counts) == round(800 + (500 - 800) * (1 - (1 - number / 10) ** 3))
    assert sum(found[10]) == 500


def test_granet_starts_at_0_2_or_dense():
    assert build_rule(settings("granet"), LAYERS).first_counts() == [100, 480, 320]
    low = build_rule(settings("granet", sparsity=0.1), LAYERS)
    assert low.first_counts() == [100, 600, 400]
    assert low.masked() == [1, 2], "dense now, masked later; the first layer never"


def test_rigl_drops_the_smallest_and_grows_by_gradient():
    rule, weights, gradients, masks = start("rigl")
    updated = rule.update(2, SCHEDULE, weights, gradients, masks)
    for weight, gradient, mask, new in zip(weights, gradients, masks, updated):
        count = int(mask.sum())
        keep = count - int(SCHEDULE.fraction(2) * count)
        active = sorted(mask.nonzero().flatten().tolist(), key=lambda i: -abs(weight[i].item()))
        kept = set(active[:keep])
        others = sorted(set(range(len(mask))) - kept, key=lambda i: -abs(gradient[i].item()))
        expected = kept | set(others[: count - keep])
        assert set(new.nonzero().flatten().tolist()) == expected


def test_random_growth_is_uniform_over_what_is_not_kept():
    _, weights, gradients, masks = start("set")
    hits = torch.zeros(600)
    for seed in range(300):
        other = build_rule(settings("set", seed=seed), LAYERS)
        hits += other.update(5, SCHEDULE, weights, gradients, masks)[0].float()
    count = 300
    dropped = int(SCHEDULE.fraction(5) * count)
    kept = hits == 300
    assert int(kept.sum()) == count - dropped
    rate = hits[~kept] / 300
    expected = dropped / (600 - (count - dropped))
    assert rate.mean() == pytest.approx(expected, rel=1e-4)
    assert rate.std() == pytest.approx((expected * (1 - expected) / 300) ** 0.5, rel=0.2)


def test_mest_score_adds_the_gradient():
    rule, weights, gradients, masks = start("mest", grad_weight=1e6, memory_bound=0.0)
    rule_plain = build_rule(settings("mest", memory_bound=0.0), LAYERS)
    by_gradient = rule.update(3, SCHEDULE, weights, gradients, masks)[0]
    by_weight = rule_plain.update(3, SCHEDULE, weights, gradients, masks)[0]
    keep = 300 - int(SCHEDULE.fraction(3) * 300)
    active = masks[0].nonzero().flatten().tolist()
    largest = sorted(active, key=lambda i: -abs(gradients[0][i].item()))[:keep]
    assert set(largest) <= set(by_gradient.nonzero().flatten().tolist())
    assert not torch.equal(by_gradient, by_weight)


def test_growth_can_be_chosen():
    for method, growth in (("mest", "gradient"), ("granet", "random")):
        masks = []
        for changes in ({}, dict(growth=growth)):
            rule, *state = start(method, **changes)
            masks.append(torch.cat(rule.update(1, SCHEDULE, *state)))
        assert not torch.equal(*masks)
        assert masks[0].sum() == masks[1].sum()


def test_a_layer_without_gradient_keeps_its_mask():
    rule, weights, gradients, masks = start("rigl")
    updated = rule.update(1, SCHEDULE, weights, [None, gradients[1]], masks)
    assert torch.equal(updated[0], masks[0])
    assert not torch.equal(updated[1], masks[1])


def test_first_masks_by_magnitude_or_at_random():
    rule, *_ = start("rigl", init="magnitude")
    weight = torch.arange(-300.0, 300.0)
    (mask,) = rule.first_masks([weight], [4])
    assert mask.nonzero().flatten().tolist() == [0, 1, 2, 599]
    random, *_ = start("rigl")
    (mask,) = random.first_masks([weight], [300])
    assert int(mask.sum()) == 300
    assert 100 < int(mask[:300].sum()) < 200


@pytest.mark.parametrize(("sparsity", "changed", "again"), [(0.1, 0.16, 0.82), (0.5, 0.33, 0.33)])
def test_turnover_at_low_sparsity_under_random_growth(sparsity, changed, again):
    """Most of what is dropped grows again: the figures of docs/sparse_training.md."""
    layers = [Layer("a", (500, 400))]
    rule = build_rule(settings("set", sparsity=sparsity, drop_fraction=0.5), layers)
    size = layers[0].size
    weight = torch.randn(size, generator=torch.Generator().manual_seed(0))
    (mask,) = rule.first_masks([weight], [round((1 - sparsity) * size)])
    (new,) = rule.update(1, UpdateSchedule(1, 0.5, 10**6), [weight * mask], [weight], [mask])
    dropped = int(0.5 * int(mask.sum()))
    grown = int((new & ~mask).sum())
    assert 1 - grown / dropped == pytest.approx(again, abs=0.01)
    # Bits that change, of all weights that are active or could be: twice the grown ones.
    assert 2 * grown / size == pytest.approx(changed, abs=0.01)
