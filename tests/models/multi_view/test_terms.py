"""Terms apart from a network: what they read, how they are built, what a user can add."""

from __future__ import annotations

from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
import torch
from mmengine.registry import MODELS
from multi_view_runs import FMA, JSD, STABILITY, TASK, batch, build, losses_of, still_cfg

from mmseg_robust.errors import InputError
from mmseg_robust.models.losses import jensen_shannon_loss, stability_loss
from mmseg_robust.models.multi_view.outputs import ViewOutputs
from mmseg_robust.models.multi_view.plan import Plan, make_plan
from mmseg_robust.models.multi_view.terms import Term, build_term, weighted


def plan(*terms: dict[str, Any], clean_weight: float = 1.0) -> Plan:
    return make_plan([build_term(term) for term in terms], clean_weight)


def test_views_go_no_further_than_a_term_reads() -> None:
    assert plan(FMA) == Plan(("clean",), ("clean",), ("clean", "a"))
    assert plan(STABILITY) == Plan(("clean",), ("clean", "a"), ("clean", "a"))
    assert plan(TASK) == Plan(("clean", "b"), ("clean", "b"), ("clean", "b"))
    assert plan(TASK, clean_weight=0) == Plan(("b",), ("b",), ("b",))
    assert plan(FMA, TASK) == Plan(("clean", "b"), ("clean", "b"), ("clean", "b", "a"))
    everything = plan(FMA, STABILITY, JSD, TASK, clean_weight=0)
    assert everything == Plan(("b",), ("b", "clean", "a"), ("b", "clean", "a"))


def logits(seed: int) -> torch.Tensor:
    return torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(seed))


def test_predictions_are_compared_where_there_are_labels() -> None:
    valid = torch.rand(2, 6, 10) > 0.5
    at_logits = valid[:, 1::2, 1::2]  # the nearest pixel of a cell of four, as resize_valid has it
    views = dict(clean=logits(0), a=logits(1), b=logits(2))
    outputs = ViewOutputs(tuple(views), logits=views, valid=valid)
    expected = stability_loss(views["clean"], views["a"], at_logits, "ce", True)
    term = build_term(dict(STABILITY, distance="ce", stop_gradient=True))
    assert term(outputs) == {"a.loss_stability": expected * 0.5}
    expected = jensen_shannon_loss(list(views.values()), at_logits)
    assert build_term(JSD)(outputs) == {"a_b.loss_jensen_shannon": expected * 3}


def test_a_views_stock_losses_are_weighted_and_named_after_it() -> None:
    stock = dict(loss_ce=torch.tensor(2.0), loss_parts=[torch.tensor(1.0)] * 2, acc_seg=7.0)
    outputs = ViewOutputs(("b",), task_losses=dict(b=stock))
    assert build_term(TASK)(outputs) == {
        "b.loss_ce": 1.0, "b.loss_parts": [0.5, 0.5], "b.acc_seg": 7.0,
    }  # fmt: skip
    assert weighted(stock, 1.0)["acc_seg"] == 7.0


@MODELS.register_module()
class EntropyTerm(Term):
    """A term of a user's own: the mean entropy of an altered view's predictions."""

    reads = "logits"

    def __init__(self, weight: float, view: str) -> None:
        super().__init__(weight, (view,))

    def __call__(self, outputs: ViewOutputs) -> dict[str, Any]:
        logs = outputs.logits[self.altered[0]].log_softmax(1)
        return {"loss_entropy": -(logs.exp() * logs).sum(1).mean() * self.weight}


def test_a_term_of_ones_own() -> None:
    mine = dict(type="EntropyTerm", weight=0.1, view="a")
    model = build(still_cfg(views=dict(a=dict(type="GaussianNoise")), terms=[mine]))
    loss, log = losses_of(model, batch())
    assert 0 < log["loss_entropy"] < 0.1 * 1.39
    torch.testing.assert_close(loss, log["loss_entropy"] + log["decode.loss_ce"])


@pytest.mark.parametrize(
    "bad", [None, "FMATerm", dict(weight=1), dict(type="FCNHead"), dict(type=3)]
)
def test_what_is_no_term_is_refused(bad: Any) -> None:
    with pytest.raises(InputError, match=r"Unknown term .* Known types: .*FMATerm"):
        build_term(bad)
