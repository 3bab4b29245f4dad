"""The multi-view segmentors against a training step written out with the stock ones."""

from __future__ import annotations

import copy
from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
import torch
from multi_view_runs import (
    EVERYTHING,
    FCN,
    FMA,
    HEAD,
    JSD,
    STABILITY,
    TASK,
    batch,
    build,
    gradients,
    losses_of,
    multi_view,
    resnet_cfg,
    still_cfg,
    views,
)

from mmseg_robust.errors import InputError
from mmseg_robust.models.auxiliary_norm import without_auxiliary
from mmseg_robust.models.losses import fma_loss, jensen_shannon_loss, stability_loss
from mmseg_robust.models.losses.valid_pixels import resize_valid
from mmseg_robust.models.segmentors.heads import prediction
from mmseg_robust.models.stage_outputs import find_stage_outputs


class Written:
    """A training step by stock parts: one forward pass a view, the terms from their equations."""

    def __init__(self, model: torch.nn.Module, inputs: torch.Tensor, samples: list) -> None:
        self.model, self.samples = model, samples
        labels = torch.stack([sample.gt_sem_seg.data for sample in samples])[:, 0]
        self.known = labels != 255
        self.maps, self.logits, self.losses = {}, {}, {}
        names = model.multi_view.plan.drawn
        drawn = model.multi_view.views.draw(names, inputs, model.data_preprocessor)
        for name, view in zip(names, drawn.chunk(len(names))):
            self._run(name, view)

    def _run(self, name: str, view: torch.Tensor) -> None:
        stages = []
        handles = [
            output.module.register_forward_hook(lambda m, a, out: stages.append(out))
            for output in find_stage_outputs(self.model)
        ]
        # With norms that know of one view, this is stock code.
        norms = (self.model.multi_view.encoder_norms, self.model.multi_view.head_norms)
        for norm in norms:
            norm.views = (name,)
        features = self.model.extract_feat(view)
        for handle in handles:
            handle.remove()
        self.maps[name] = stages
        self.losses[name] = self.model._decode_head_forward_train(features, self.samples)
        if self.model.with_auxiliary_head:
            auxiliary = self.model._auxiliary_head_forward_train(features, self.samples)
            self.losses[name].update(auxiliary)
        if not isinstance(self.model.decode_head, torch.nn.ModuleList):
            self.logits[name] = self.model.decode_head(features)

    def task(self, name: str) -> torch.Tensor:
        return sum(value for key, value in self.losses[name].items() if "loss" in key)

    def valid(self, size: Any) -> torch.Tensor:
        return resize_valid(self.known, tuple(size))

    def fma(self) -> torch.Tensor:
        total = 0
        for clean, view in zip(self.maps["clean"], self.maps["a"]):
            if clean.dim() == 3:  # NLC
                side = round(clean.shape[1] ** 0.5)
                clean, view = (x.transpose(1, 2).unflatten(2, (side, side)) for x in (clean, view))
            total = total + fma_loss(clean, view, valid=self.valid(clean.shape[2:]))
        return total / len(self.maps["clean"])

    def stability(self) -> torch.Tensor:
        clean, view = self.logits["clean"], self.logits["a"]
        return stability_loss(clean, view, self.valid(clean.shape[2:]))

    def jensen_shannon(self) -> torch.Tensor:
        logits = [self.logits[name] for name in ("clean", "a", "b")]
        return jensen_shannon_loss(logits, self.valid(logits[0].shape[2:]))


METHODS: dict[str, tuple[dict[str, Any], Any]] = {
    "fma": (dict(terms=[FMA]), lambda w: w.task("clean") + 2 * w.fma()),
    "stability": (dict(terms=[STABILITY]), lambda w: w.task("clean") + 0.5 * w.stability()),
    "jsd": (dict(terms=[JSD]), lambda w: w.task("clean") + 3 * w.jensen_shannon()),
    "ace": (
        dict(terms=[TASK], clean_weight=0.5),
        lambda w: 0.5 * w.task("clean") + 0.5 * w.task("b"),
    ),
    "afa": (
        dict(terms=[TASK], clean_weight=0.5, auxiliary_norm=["b"]),
        lambda w: 0.5 * w.task("clean") + 0.5 * w.task("b"),
    ),
    "altered alone": (
        dict(terms=[dict(TASK, weight=1.0)], clean_weight=0),
        lambda w: w.task("b"),
    ),
    "everything": (
        EVERYTHING,
        lambda w: (
            0.5 * (w.task("clean") + w.task("b"))
            + 2 * w.fma() + 0.5 * w.stability() + 3 * w.jensen_shannon()
        ),
    ),
}  # fmt: skip


def check_against_stock_parts(cfg: dict[str, Any], name: str, double: bool = True) -> None:
    """Loss and gradients of a method, in float64 if asked."""
    settings, total = METHODS[name]
    model = build(multi_view(cfg, **views(**settings)))
    model = model.double() if double else model
    reference = copy.deepcopy(model)
    torch.manual_seed(1)  # PointRend draws points
    loss, _ = losses_of(model, batch())
    torch.manual_seed(1)
    data = reference.data_preprocessor(batch(), True)
    # Only norms with an auxiliary one tell a single view from stock training.
    reference.multi_view.encoder_norms.attach(reference.backbone)
    reference.multi_view.head_norms.attach(reference)
    expected = total(Written(reference, data["inputs"], data["data_samples"]))
    # In float32 norms of a few values make much of little.
    tight = dict(rtol=1e-9, atol=1e-9) if double else dict(rtol=1e-5, atol=1e-5)
    loose = dict(rtol=1e-6, atol=1e-9) if double else dict(rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(loss, expected, **tight)
    got, wanted = gradients(model, loss), gradients(reference, expected)
    assert got.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(got[key], value, msg=key, **loose)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("backbone", ["mit", "resnet"])
def test_equals_a_step_written_out_with_stock_parts(name, backbone):
    check_against_stock_parts(
        still_cfg() if backbone == "mit" else resnet_cfg(auxiliary_head=dict(FCN, num_convs=2)),
        name,
    )


CE = dict(type="mmseg.CrossEntropyLoss")
ALL_STAGES = dict(in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3])
HEADS: dict[str, Any] = {
    "sampler and two losses": dict(
        FCN, sampler=dict(type="mmseg.OHEMPixelSampler", thresh=0.7, min_kept=50),
        loss_decode=[CE, dict(CE, loss_name="loss_second")],
    ),
    "pyramid": dict(HEAD, type="mmseg.UPerHead", pool_scales=(1, 2), **ALL_STAGES),
    "several outputs": dict(HEAD, type="mmseg.DAHead", pam_channels=4),
    "other losses": dict(
        HEAD, type="mmseg.EncHead", num_codes=4, use_se_loss=True, in_channels=[32, 64],
        in_index=[2, 3], loss_se_decode=dict(CE, use_sigmoid=True),
    ),
    "cascade": [FCN, dict(HEAD, type="mmseg.OCRHead", ocr_channels=4)],
    "PointRend": [
        dict(HEAD, type="mmseg.FPNHead", feature_strides=[4, 8, 16, 32], **ALL_STAGES),
        dict(
            type="mmseg.PointHead", in_channels=[8], in_index=[0], channels=8, num_fcs=1,
            num_classes=4, coarse_pred_each_layer=True, dropout_ratio=-1, align_corners=False,
            loss_decode=CE,
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_stock_heads_go_on_working(name):
    head = HEADS[name]
    changes = {}
    if isinstance(head, list):
        points = dict(num_points=16, oversample_ratio=3, importance_sample_ratio=0.75)
        changes = dict(num_stages=2, train_cfg=points)
    # PointRend makes points in float32.
    cfg = resnet_cfg(head, auxiliary_head=[FCN, FCN], **changes)
    check_against_stock_parts(cfg, "ace", double=name != "PointRend")


def test_a_view_that_no_head_needs_does_not_reach_one():
    """The FMA loss costs an encoder pass, not a head's."""
    model = build(still_cfg(**views(terms=[FMA])))
    seen = []
    model.decode_head.conv_seg.register_forward_hook(lambda m, a, out: seen.append(len(out)))
    losses_of(model, batch())
    assert seen == [2]


@pytest.mark.parametrize(
    "settings",
    [dict(), views(terms=[dict(FMA, weight=0), dict(TASK, weight=0)], auxiliary_norm=["b"])],
    ids=["no terms", "weights 0"],
)
def test_without_weighted_terms_it_is_the_stock_segmentor_to_the_bit(settings, monkeypatch):
    cfg = resnet_cfg(auxiliary_head=FCN)
    model, stock = build(multi_view(cfg, **settings)), build(cfg)
    monkeypatch.setattr(model.multi_view.views, "draw", None)  # no view is drawn
    assert list(model.state_dict()) == list(stock.state_dict())
    results = []
    for network in (model, stock):
        loss, log = losses_of(network, batch())
        results.append((log, gradients(network, loss), dict(network.named_buffers())))
    for got, wanted in zip(*results):
        assert got.keys() == wanted.keys()
        assert all(torch.equal(got[key], wanted[key]) for key in wanted)


def test_evaluation_and_single_passes_are_stock_after_training_steps():
    cfg = resnet_cfg()
    model, stock = build(multi_view(cfg, **EVERYTHING)), build(cfg)
    losses_of(model, batch())[0].backward()
    stock.load_state_dict(without_auxiliary(model.state_dict()))
    data = model.data_preprocessor(batch(), True)
    assert torch.equal(model(data["inputs"]), stock(data["inputs"]))  # in training mode
    model.eval()
    stock.eval()
    with torch.no_grad():
        assert torch.equal(model(data["inputs"]), stock(data["inputs"]))
        for mode in ("loss", "predict"):
            samples = copy.deepcopy(data["data_samples"])
            got = model(data["inputs"], copy.deepcopy(samples), mode)
            wanted = stock(data["inputs"], copy.deepcopy(samples), mode)
            if mode == "loss":
                assert got == wanted
            else:
                labels = [[s.pred_sem_seg.data for s in found] for found in (got, wanted)]
                assert all(torch.equal(*pair) for pair in zip(*labels))


def test_a_binary_head_is_compared_as_two_classes():
    sigmoid = dict(type="mmseg.CrossEntropyLoss", use_sigmoid=True)
    model = build(
        multi_view(resnet_cfg(dict(FCN, num_classes=2, out_channels=1, loss_decode=sigmoid)),
                   **views(terms=[STABILITY]))
    )  # fmt: skip
    output = torch.randn(2, 1, 4, 4)
    logits = prediction(model.decode_head, output)
    torch.testing.assert_close(logits.softmax(1)[:, 1:], output.sigmoid())
    data = batch()
    for sample in data["data_samples"]:
        labels = sample.gt_sem_seg.data
        sample.gt_sem_seg.data = torch.where(labels == 255, 255, labels % 2)
    assert losses_of(model, data)[1]["a.loss_stability"] > 0


@pytest.mark.parametrize(
    ("kind", "place"), [("PIDHead", 1), ("DDRHead", 0), ("IterativeDecodeHead", 2)]
)
def test_the_prediction_is_found_among_several_outputs(kind, place):
    outputs = [torch.full((1, 3, 2, 2), float(index)) for index in range(3)]
    head = type(kind, (torch.nn.Module,), {})()
    assert prediction(type("Derived", (type(head),), {})(), tuple(outputs)) is outputs[place]
    with pytest.raises(InputError, match=f"{kind} returns no logits"):
        prediction(head, dict(masks=outputs))


def test_the_log_names_stock_losses_and_terms():
    model = build(multi_view(resnet_cfg(auxiliary_head=FCN), **EVERYTHING))
    _, log = losses_of(model, batch())
    assert list(log) == [
        "loss", "decode.loss_ce", "decode.acc_seg", "aux.loss_ce", "aux.acc_seg", "a.loss_fma",
        "a.loss_stability", "a_b.loss_jensen_shannon", "b.decode.loss_ce", "b.decode.acc_seg",
        "b.aux.loss_ce", "b.aux.acc_seg",
    ]  # fmt: skip
