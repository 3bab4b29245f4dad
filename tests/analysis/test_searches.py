"""The searches on a classifier that looks at one known frequency for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from frequency_measures import CLASSES, FREQUENCIES, SIZE, HandMadeMeasure, Killed, pair_map

from mmseg_robust.analysis import frequency_ranking, greedy_removal, hierarchical_search
from mmseg_robust.analysis.dominant_maps import DominantMaps, find_dominant_maps
from mmseg_robust.analysis.frequency_pairs import spiral_pairs
from mmseg_robust.analysis.frequency_ranking import FrequencyRanking, top_maps
from mmseg_robust.analysis.greedy_removal import GreedyRemoval
from mmseg_robust.analysis.hierarchical_search import HierarchicalSearch, patches
from mmseg_robust.analysis.search import Search
from mmseg_robust.analysis.search_store import SearchStore
from mmseg_robust.augmentations.frequency_maps import mirrored
from mmseg_robust.errors import InputError

PAIR = 2 / (SIZE[0] * SIZE[1])
SEARCHES: dict[str, Search] = {
    "greedy": GreedyRemoval(),
    "ranking": FrequencyRanking(top=PAIR),
    "hierarchical": HierarchicalSearch(candidates=60),
}


def search(kind: Search, folder: Path, **options: Any) -> tuple[DominantMaps, int]:
    """What is found, and how many filters were tried for it."""
    measure = HandMadeMeasure(**options)
    store = SearchStore(folder, kind.identity())
    ticks: list[tuple[int, int]] = []
    found = find_dominant_maps(
        kind, measure, measure.counts, range(CLASSES), SIZE, store,
        lambda done, total: ticks.append((done, total)),
    )  # fmt: skip
    assert sum(done for done, _ in ticks) == ticks[0][1], "the progress ends at its end"
    return found, measure.asked


@pytest.mark.parametrize("name", ["greedy", "ranking"])
def test_exactly_the_known_frequencies(name: str, tmp_path: Path) -> None:
    found, _ = search(SEARCHES[name], tmp_path)
    for label, frequency in enumerate(FREQUENCIES):
        assert torch.equal(found.maps[label], pair_map(*frequency)), label
    if name == "greedy":
        assert not found.maps[-1].any(), "nothing is needed for the class of nothing"
    assert found.before.tolist() == [100.0] * CLASSES
    assert found.after[:-1].tolist() == [100.0] * (CLASSES - 1)
    assert found.skipped == {}


def test_hierarchical_keeps_the_known_frequencies(tmp_path: Path) -> None:
    found, _ = search(SEARCHES["hierarchical"], tmp_path)
    for label, frequency in enumerate(FREQUENCIES):
        known = pair_map(*frequency)
        assert found.maps[label][known].all()
        # Among twice sixty candidates some are without each of the others.
        assert 0.3 < found.maps[label].double().mean() < 0.75
    assert torch.equal(found.maps, mirrored(found.maps))
    assert found.after.tolist() == [100.0] * CLASSES


@pytest.mark.parametrize("name", list(SEARCHES))
@pytest.mark.parametrize("calls", [1, 4])
def test_a_killed_search_goes_on(
    name: str, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (greedy_removal, frequency_ranking, hierarchical_search):
        monkeypatch.setattr(module, "MAPS_AT_ONCE", 16)
    whole, asked = search(SEARCHES[name], tmp_path / "whole")
    with pytest.raises(Killed):
        search(SEARCHES[name], tmp_path / "parts", die_after=calls)
    resumed, rest = search(SEARCHES[name], tmp_path / "parts")
    assert torch.equal(resumed.maps, whole.maps)
    assert calls == 1 or rest < asked
    again, least = search(SEARCHES[name], tmp_path / "parts")
    assert torch.equal(again.maps, whole.maps)
    assert least == 1 + CLASSES, "nothing but the scores before and after"


@pytest.mark.parametrize("at_once", [1, 5])
def test_greedy_removal_is_that_of_one_by_one(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With images that are often wrong, so that the score changes with every step."""
    monkeypatch.setattr(HandMadeMeasure, "logits", noisy_logits)
    monkeypatch.setattr(greedy_removal, "MAPS_AT_ONCE", at_once)
    measure = HandMadeMeasure(per_class=30)
    store = SearchStore(tmp_path, {})
    search = GreedyRemoval(tolerance=3.0)
    found = search.find(measure, range(CLASSES), SIZE, store, lambda done, total: None)
    for label in range(CLASSES):
        assert torch.equal(found[label], plain_greedy(measure, label, 3.0)), label
    shares = found.double().mean((1, 2))
    assert shares.min() > 0.02 and shares.max() < 0.98, "no trivial case"


def noisy_logits(self: HandMadeMeasure, images: torch.Tensor) -> torch.Tensor:
    weights = torch.randn(images[0].numel(), CLASSES, generator=torch.Generator().manual_seed(3))
    return images.flatten(1) @ weights


def plain_greedy(measure: HandMadeMeasure, label: int, tolerance: float) -> torch.Tensor:
    """The papers' loop, one frequency after the other."""
    kept = torch.ones(SIZE, dtype=torch.bool)
    score = float(measure(kept[None], label).true_positive_rate()[0, label])
    for pair in spiral_pairs(*SIZE):
        tried = kept.clone()
        tried.view(-1)[pair] = False
        new = float(measure(tried[None], label).true_positive_rate()[0, label])
        if 100 * new >= 100 * score - tolerance:
            kept, score = tried, new
    return kept


@pytest.mark.parametrize("height, width", [(32, 32), (7, 9), (6, 10), (5, 4)])
def test_pairs_in_a_spiral(height: int, width: int) -> None:
    pairs = spiral_pairs(height, width)
    assert sorted(set(pairs.flatten().tolist())) == list(range(height * width)), "each is there"
    doubled = pairs[pairs[:, 0] != pairs[:, 1]]
    assert 2 * len(doubled) + len(pairs) - len(doubled) == height * width, "each is there once"
    places = torch.zeros(height * width, dtype=torch.bool)
    for pair in pairs:
        places[pair] = True
        assert torch.equal(places.view(height, width), mirrored(places.view(height, width)))
    middle = height // 2 * width + width // 2
    assert pairs[0].tolist() == [middle - 1, middle + 1], "DC's neighbours in its row"
    assert pairs[1].tolist() == [middle, middle], "then DC"
    rows, columns = pairs[:, 0] // width - height // 2, pairs[:, 0] % width - width // 2
    rings = torch.maximum(rows.abs() / height, columns.abs() / width)[2:]
    assert (rings.diff() > -1e-6).all(), "outwards"


def test_top_maps_rank_by_loss_then_from_low_to_high() -> None:
    pairs = spiral_pairs(4, 4)
    losses = torch.zeros(len(pairs), 2)
    losses[5, 0], losses[3, 0] = 2.0, 1.0
    maps = top_maps(losses, pairs, (4, 4), top=0.25).flatten(1)
    expected = torch.zeros(2, 16, dtype=torch.bool)
    expected[0, torch.cat([pairs[5], pairs[3]])] = True
    expected[1, pairs[0]] = expected[1, pairs[1]] = True  # 2 + 1; the next would make 5 of 4
    assert torch.equal(maps, expected)
    assert top_maps(losses, pairs, (4, 4), top=0.01).flatten(1).sum(1).tolist() == [1, 2]


def test_patches() -> None:
    assert len(patches((12, 16), 4, moved=False).unique()) == 16
    moved = patches((12, 16), 4, moved=True)
    assert len(moved.unique()) == 25
    assert (moved == moved[6, 8]).nonzero().min(0).values.tolist() == [5, 6], "DC is inside"


def test_hierarchical_settings(tmp_path: Path) -> None:
    one = HierarchicalSearch(candidates=60, seed=1)
    other, _ = search(SEARCHES["hierarchical"], tmp_path / "b")
    assert not torch.equal(search(one, tmp_path / "a")[0].maps, other.maps)
    coarse, _ = search(HierarchicalSearch(candidates=60, grids=(4,)), tmp_path / "c")
    assert coarse.maps.double().mean() > other.maps.double().mean() + 0.1, "a stage less"
    with pytest.raises(InputError, match="16 patches a side does not fit on maps of 8 x 10"):
        search(HierarchicalSearch(candidates=3, grids=(4, 16)), tmp_path / "d")


def test_classes_are_skipped_by_name(tmp_path: Path) -> None:
    measure = HandMadeMeasure()
    store = SearchStore(tmp_path, {})
    found = find_dominant_maps(
        SEARCHES["ranking"], measure, [6, 4, 6, 6], [0, 1, 2], SIZE, store, lambda done, total: None
    )
    assert found.skipped == {1: "4 images, 5 are needed", 3: "not asked for"}
    assert found.maps[[1, 3]].all()
    assert torch.equal(found.maps[2], pair_map(*FREQUENCIES[2]))
    assert found.after.isnan().tolist() == [False, True, False, True]
    with pytest.raises(InputError, match="No class can be searched: 4 images, 5 are needed"):
        find_dominant_maps(
            SEARCHES["ranking"], measure, [4] * 4, range(4), SIZE, store, lambda done, total: None
        )


def test_what_cannot_classify_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def always_the_first(self: HandMadeMeasure, images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([1.0, 0, 0, 0]).expand(len(images), -1)

    monkeypatch.setattr(HandMadeMeasure, "logits", always_the_first)
    with pytest.raises(InputError, match=r"cannot classify: .* recognises 25.0 % .* chance is 25"):
        search(SEARCHES["ranking"], tmp_path)


@pytest.mark.parametrize(
    "kind, options",
    [
        (GreedyRemoval, {"tolerance": -1}),
        (FrequencyRanking, {"top": 0}),
        (FrequencyRanking, {"top": 1.5}),
        (HierarchicalSearch, {"candidates": 0}),
        (HierarchicalSearch, {"keep": 1.0}),
        (HierarchicalSearch, {"grids": ()}),
    ],
)
def test_wrong_settings(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options)) if "top" not in options else "share"):
        kind(**options)


def test_a_store_of_another_search_is_refused(tmp_path: Path) -> None:
    SearchStore(tmp_path, {"method": "greedy", "grids": (4, 8)})
    SearchStore(tmp_path, {"method": "greedy", "grids": (4, 8)})
    with pytest.raises(InputError, match=r"other settings \(grids\)"):
        SearchStore(tmp_path, {"method": "greedy", "grids": (4, 16)})
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(InputError, match=r"identity.json' is damaged"):
        SearchStore(tmp_path, {})
