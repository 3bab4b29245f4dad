"""Settings are checked when they are made; a checkpoint's are compared."""

import pytest
from sparse_reference import settings

from mmseg_robust.engine.weights.sparsity.densities import Layer
from mmseg_robust.engine.weights.sparsity.settings import differences
from mmseg_robust.engine.weights.sparsity.stored import StoredMasks, check_resumed
from mmseg_robust.errors import InputError


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(sparsity=-0.1), r"sparsity is -0.1; it must be a number in \[0, 1\)"),
        (dict(sparsity=1.0), "sparsity is 1.0"),
        (dict(sparsity=float("nan")), "sparsity is nan"),
        (dict(sparsity="0.5"), "sparsity is '0.5'"),
        (dict(sparsity=True), "sparsity is True"),
        (dict(distribution="er"), "distribution is 'er'; it must be one of erk, uniform"),
        (dict(init="zero"), "init is 'zero'; it must be one of magnitude, random"),
        (dict(interval=0), "interval is 0"),
        (dict(interval=1.5), "interval is 1.5"),
        (dict(drop_fraction=0), r"drop_fraction is 0; it must be a number in \(0, 1\)"),
        (dict(drop_fraction=1.0), "drop_fraction is 1.0"),
        (dict(end=1.5), "end is 1.5"),
        (dict(end=0), "end"),
        (dict(seed=-1), "seed is -1"),
        (dict(include="backbone"), "include='backbone' must be a list"),
        (dict(exclude=["("]), "is no regular expression"),
        (dict(growth="random"), "growth='random' is an option of method='mest' or 'granet'"),
        (dict(grad_weight=1.0), "grad_weight=1.0 is an option of method='mest'; with method='rigl"),
        (dict(memory_bound=0.1), "memory_bound=0.1 is an option of method='mest'"),
        (dict(initial_sparsity=0.1), "initial_sparsity=0.1 is an option of method='granet'"),
    ],
)
def test_bad_values(bad, message):
    with pytest.raises(InputError, match=message):
        settings("rigl", **bad)


@pytest.mark.parametrize(
    ("method", "bad", "message"),
    [
        ("lottery", {}, "method is 'lottery'; it must be one of static, set, rigl, mest, granet"),
        ("mest", dict(growth="zero"), "growth is 'zero'; it must be one of random, gradient"),
        ("mest", dict(grad_weight=-1), "grad_weight is -1; it must be a number 0 or more"),
        ("mest", dict(memory_bound=float("inf")), "memory_bound is inf"),
        ("granet", dict(initial_sparsity=0.6), r"initial_sparsity is 0.6.*in \[0, sparsity=0.5\]"),
    ],
)
def test_bad_values_of_one_method(method, bad, message):
    with pytest.raises(InputError, match=message):
        settings(method, **bad)


def test_a_checkpoint_of_other_settings_is_told_apart():
    ours = settings("rigl", include=("backbone",))
    assert differences(ours, settings("rigl", include=["backbone"]).as_dict()) == []
    assert differences(ours, settings("set", include=["backbone"], sparsity=0.4).as_dict()) == [
        "method='rigl' here, 'set' in the checkpoint",
        "sparsity=0.5 here, 0.4 in the checkpoint",
    ]


def test_what_a_checkpoint_may_hold():
    plain, sparse = settings("rigl", sparsity=0), settings("rigl")
    check_resumed(plain, None)
    with pytest.raises(InputError, match="holds no masks: it is of a run without"):
        check_resumed(sparse, None)
    stored = StoredMasks(sparse.as_dict(), 3, {}, {})
    check_resumed(sparse, stored)
    with pytest.raises(InputError, match=r"sparsity=0 here, 0\.5 in the checkpoint"):
        check_resumed(plain, stored)


def test_another_model_is_told_apart():
    stored = StoredMasks({}, 3, {"a": [2, 3]}, {})
    stored.check_layers([Layer("a", (2, 3))])
    for layers, message in (
        ([Layer("a", (3, 3))], "a has the shape 3x3 here, 2x3 in the checkpoint"),
        ([Layer("a", (2, 3)), Layer("b", (2, 3))], "b has the shape 2x3 here, none in"),
        ([], "a has the shape none here, 2x3 in the checkpoint"),
    ):
        with pytest.raises(InputError, match=message):
            stored.check_layers(layers)
