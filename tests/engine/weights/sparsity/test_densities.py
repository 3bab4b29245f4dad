"""Densities against figures and formulas worked out apart from the code."""

import math

import pytest

from mmseg_robust.engine.weights.sparsity.densities import (
    Layer,
    active_counts,
    degenerate,
    erk_shares,
    whole_counts,
)
from mmseg_robust.errors import InputError


def resnet50_layers():
    """The 53 convolutions and the classifier of ResNet-50."""
    layers = [Layer("conv1", (64, 3, 7, 7), always_dense=True)]
    inputs = 64
    for stage, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], 1):
        for block in range(blocks):
            path = f"layer{stage}.{block}"
            layers.append(Layer(f"{path}.conv1", (width, inputs, 1, 1)))
            layers.append(Layer(f"{path}.conv2", (width, width, 3, 3)))
            layers.append(Layer(f"{path}.conv3", (4 * width, width, 1, 1)))
            if block == 0:
                layers.append(Layer(f"{path}.downsample", (4 * width, inputs, 1, 1)))
            inputs = 4 * width
    return [*layers, Layer("fc", (1000, 2048))]


@pytest.fixture(scope="module")
def resnet50():
    layers = resnet50_layers()
    assert len(layers) == 54
    assert sum(layer.size for layer in layers) == 25_502_912
    return layers


@pytest.mark.parametrize(
    ("sparsity", "dense", "lowest"),
    [(0.1, 51, 0.64), (0.2, 45, 0.39), (0.3, 43, 0.25), (0.4, 34, 0.17), (0.5, 32, 0.13),
     (0.8, 8, 0.043)],
)  # fmt: skip
def test_erk_of_resnet50_is_what_was_computed_apart(resnet50, sparsity, dense, lowest):
    counts = active_counts(resnet50, sparsity, "erk")
    densities = [count / layer.size for layer, count in zip(resnet50, counts)]
    assert sum(density == 1 for density in densities) == dense
    assert min(densities) == pytest.approx(lowest, abs=0.0051)
    assert sum(counts) == round((1 - sparsity) * sum(layer.size for layer in resnet50))


def test_erk_at_0_1_leaves_sparse_only_the_large_convolutions_of_the_last_stage(resnet50):
    counts = active_counts(resnet50, 0.1, "erk")
    sparse = [layer.name for layer, count in zip(resnet50, counts) if count < layer.size]
    assert sparse == [f"layer4.{block}.conv2" for block in range(3)]
    message = degenerate(resnet50, counts)
    assert message.startswith("the distribution leaves 51 of 54 layers dense")
    assert "density 0.64 in layer4.0.conv2" in message
    assert degenerate(resnet50, active_counts(resnet50, 0.9, "erk")) is None
    assert degenerate(resnet50, active_counts(resnet50, 0.1, "uniform")) is None


def test_erk_densities_are_proportional_to_sum_over_product():
    layers = [Layer("a", (64, 32, 3, 3)), Layer("b", (128, 64)), Layer("c", (256, 128, 3, 3))]
    total = 10_000
    shares = erk_shares(layers, total)
    ratios = [
        share / layer.size / (sum(layer.shape) / math.prod(layer.shape))
        for share, layer in zip(shares, layers)
    ]
    assert ratios == pytest.approx([ratios[0]] * 3)
    assert sum(shares) == pytest.approx(total)


def test_uniform_leaves_the_first_layer_dense(resnet50):
    counts = active_counts(resnet50, 0.3, "uniform")
    assert counts[0] == resnet50[0].size
    for layer, count in list(zip(resnet50, counts))[1:]:
        assert count == round(0.7 * layer.size)


@pytest.mark.parametrize("distribution", ["erk", "uniform"])
def test_sparsity_0_is_dense(resnet50, distribution):
    assert active_counts(resnet50, 0, distribution) == [layer.size for layer in resnet50]
    # So little that it rounds to no weight at all.
    assert active_counts(resnet50[:2], 1e-9, distribution) == [x.size for x in resnet50[:2]]


def test_whole_counts_have_the_sum_and_round_the_largest_fractions_up():
    assert whole_counts([1.2, 2.7, 3.1], 7) == [1, 3, 3]
    assert whole_counts([0.5, 0.5, 1.0], 2) == [1, 0, 1]
    shares = [math.pi * k for k in range(1, 30)]
    total = round(sum(shares))
    counts = whole_counts([share * total / sum(shares) for share in shares], total)
    assert sum(counts) == total


@pytest.mark.parametrize("distribution", ["erk", "uniform"])
def test_a_layer_that_would_lose_all_is_an_error(distribution):
    layers = [Layer("small", (2, 2)), Layer("large", (64, 64))]
    with pytest.raises(InputError, match="leaves no active weight in small"):
        active_counts(layers, 0.9999, distribution)
