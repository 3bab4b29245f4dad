"""Counts by filter and class, and the rates of the shortcut test, against plain loops."""

from __future__ import annotations

import torch
from frequency_measures import CLASSES, FREQUENCIES, HandMadeMeasure, pair_map

from mmseg_robust.analysis.filtered_counts import MOST_LOSS, Tally
from mmseg_robust.analysis.shortcuts import shortcut_counts, shortcut_rates

CPU = torch.device("cpu")


def test_counts_and_scores() -> None:
    predicted = torch.tensor([[0, 0, 1, 2, 1, 0]])
    labels = torch.tensor([[0, 1, 1, 3, 1, 2]])  # 3: does not count
    losses = torch.tensor([[0.5, 1.0, 0.25, 9.0, 0.25, 2.0]])
    tally = Tally(2, 3, CPU)
    tally.add(torch.tensor([1]), losses, predicted, labels)
    counts = tally.counts()
    assert counts.labelled.tolist() == [[0, 0, 0], [1, 3, 1]]
    assert counts.predicted.tolist() == [[0, 0, 0], [3, 2, 0]]
    assert counts.correct.tolist() == [[0, 0, 0], [1, 2, 0]]
    assert counts.mean_loss()[1].tolist() == [0.5, 0.5, 2.0]
    assert counts.mean_loss()[0].isnan().all()
    assert counts.iou()[1].tolist() == [1 / 3, 2 / 3, 0.0]
    assert counts.true_positive_rate()[1].tolist() == [1.0, 2 / 3, 0.0]
    assert counts.false_positive_rate()[1].tolist() == [2 / 4, 0.0, 0.0]
    assert torch.equal(counts.score("segmentation")[1], 100 * counts.iou()[1])
    assert torch.equal(counts.score("classification")[1], 100 * counts.true_positive_rate()[1])
    twice = counts + counts
    assert torch.equal(twice.iou()[1], counts.iou()[1]) and twice.labelled.sum() == 10


def test_sums_do_not_depend_on_the_order() -> None:
    generator = torch.Generator().manual_seed(0)
    losses = torch.rand(50, 40, generator=generator) * 20
    labels = torch.randint(0, 4, (50, 40), generator=generator)
    predicted = torch.randint(0, 3, (50, 40), generator=generator)
    filters = torch.randint(0, 5, (50,), generator=generator)
    found = []
    for order in (torch.arange(50), torch.arange(50).flip(0)):
        tally = Tally(5, 3, CPU)
        for some in order.split(7):
            tally.add(filters[some], losses[some], predicted[some], labels[some])
        found.append(tally.counts())
    assert torch.equal(found[0].loss, found[1].loss)
    own = losses[filters == 2][labels[filters == 2] == 1].double().mean()
    torch.testing.assert_close(found[0].mean_loss()[2, 1], own, atol=1e-6, rtol=0)


def test_losses_that_are_no_numbers_count_as_the_greatest() -> None:
    tally = Tally(1, 2, CPU)
    losses = torch.tensor([[torch.nan, torch.inf, 1e9]])
    tally.add(torch.tensor([0]), losses, torch.zeros(1, 3).long(), torch.zeros(1, 3).long())
    assert tally.counts().mean_loss()[0, 0] == MOST_LOSS


def test_shortcut_rates() -> None:
    """On its own frequency a class is found; on those of class 0 the others are of the last."""
    measure = HandMadeMeasure()
    maps = torch.stack([pair_map(*frequency) for frequency in FREQUENCIES])
    maps = torch.cat([maps, torch.ones_like(maps[:1])])
    found = (True, True, True, False)
    rates = shortcut_rates(shortcut_counts(measure, maps), found)
    assert rates.unfiltered_tpr.tolist() == [1.0] * CLASSES
    assert rates.unfiltered_fpr.tolist() == [0.0] * CLASSES
    assert rates.tpr[:3].tolist() == [1.0] * 3 and rates.fpr[:3].tolist() == [0.0] * 3
    assert rates.tpr[3].isnan() and rates.fpr[3].isnan()
    assert rates.items.tolist() == [6] * CLASSES
    # All of the last class: every image is called so without the three frequencies.
    nothing = torch.zeros_like(maps)
    rates = shortcut_rates(shortcut_counts(measure, nothing), (True,) * 4)
    assert rates.tpr.tolist() == [0.0, 0.0, 0.0, 1.0]
    assert rates.fpr.tolist() == [0.0, 0.0, 0.0, 1.0]
