"""The multi-view classifier, on toy data, against a step written out with the stock one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import mmseg_robust  # noqa: F401  # isort: skip  (mends what MMSegmentation's import needs)
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from multi_view_runs import FMA, JSD, NOISE, STABILITY, TASK, WAVES, gradients, losses_of
from small_maps import made, random_maps
from torch.utils.data import Dataset

from mmseg_robust.augmentations import DominantFrequencies, classes_in
from mmseg_robust.corruptions.random import hash_parts
from mmseg_robust.errors import InputError
from mmseg_robust.models.losses import fma_loss, jensen_shannon_loss, stability_loss

pytest.importorskip("mmpretrain")

EVERYTHING: dict[str, Any] = dict(
    views=dict(a=NOISE, b=WAVES), terms=[FMA, STABILITY, JSD, TASK], clean_weight=0.5,
    auxiliary_norm=["b"], channel_order="rgb",
)  # fmt: skip


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        yield


def cfg(**changes: Any) -> dict[str, Any]:
    """A small ResNet for four classes; a multi-view one if anything is changed."""
    head = dict(type="LinearClsHead", num_classes=4, in_channels=64, cal_acc=True)
    model = dict(
        type="ImageClassifier",
        data_preprocessor=dict(mean=[120.0, 125.0, 130.0], std=[60.0] * 3, to_rgb=False),
        backbone=dict(
            type="ResNet", depth=18, base_channels=8, stem_channels=8, out_indices=(3,),
            norm_eval=False,
        ),
        neck=dict(type="GlobalAveragePooling"),
        head=head,
    )  # fmt: skip
    if changes:
        model = dict(model, type="MultiViewImageClassifier", **copy.deepcopy(changes))
    return model


def build(model: dict[str, Any]) -> torch.nn.Module:
    torch.manual_seed(0)
    return MODELS.build(copy.deepcopy(model)).train()


class Colours(Dataset):
    """Noisy images whose brightness is the class."""

    def __init__(self) -> None:
        self.metainfo = dict(classes=("a", "b", "c", "d"))

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> dict[str, Any]:
        from mmpretrain.structures import DataSample

        generator = torch.Generator().manual_seed(index)
        noise = torch.randint(0, 60, (3, 32, 32), generator=generator)
        image = (noise + index % 4 * 60).to(torch.uint8)
        return dict(inputs=image, data_samples=DataSample().set_gt_label(index % 4))


def batch(count: int = 4) -> dict[str, Any]:
    items = [Colours()[index] for index in range(count)]
    return dict(
        inputs=torch.stack([item["inputs"] for item in items]),
        data_samples=[item["data_samples"] for item in items],
    )


def test_equals_a_step_written_out_with_stock_parts() -> None:
    model = build(cfg(**EVERYTHING)).double()
    reference = copy.deepcopy(model)
    loss, log = losses_of(model, batch())
    multi_view = reference.multi_view
    multi_view.encoder_norms.attach(reference.backbone)
    data = reference.data_preprocessor(batch(), True)
    drawn = multi_view.views.draw(
        multi_view.plan.drawn, data["inputs"], reference.data_preprocessor
    )
    scores, stages, losses = {}, {}, {}
    for name, view in zip(multi_view.plan.drawn, drawn.chunk(3)):
        multi_view.encoder_norms.views = (name,)
        maps: list[torch.Tensor] = []
        handles = [
            getattr(reference.backbone, layer).register_forward_hook(
                lambda m, a, out, maps=maps: maps.append(out)
            )
            for layer in ("layer1", "layer2", "layer3", "layer4")
        ]
        features = reference.extract_feat(view)
        for handle in handles:
            handle.remove()
        stages[name], scores[name] = maps, reference.head(features)
        losses[name] = reference.head.loss(features, data["data_samples"])["loss"]
    fma = sum(fma_loss(c, a) for c, a in zip(stages["clean"], stages["a"])) / 4
    expected = (
        0.5 * (losses["clean"] + losses["b"])
        + 2 * fma
        + 0.5 * stability_loss(scores["clean"], scores["a"])
        + 3 * jensen_shannon_loss([scores[name] for name in ("clean", "a", "b")])
    )
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)
    got, wanted = gradients(model, loss), gradients(reference, expected)
    assert got.keys() == wanted.keys() == dict(model.named_parameters()).keys()
    for key, value in wanted.items():
        torch.testing.assert_close(got[key], value, rtol=1e-6, atol=1e-9, msg=key)
    assert {"b.accuracy_top-1", "a.loss_fma", "a_b.loss_jensen_shannon"} <= log.keys()


@pytest.mark.parametrize("settings", [dict(views={}), dict(EVERYTHING, terms=[])])
def test_without_terms_it_is_the_stock_classifier_to_the_bit(settings: dict[str, Any]) -> None:
    model, stock = build(cfg(**settings)), build(cfg())
    assert list(model.state_dict()) == list(stock.state_dict())
    for network in (model, stock):
        losses_of(network, batch())[0].backward()
    for got, wanted in zip(model.parameters(), stock.parameters()):
        assert torch.equal(got.grad, wanted.grad)


def test_mixed_labels_go_with_the_views() -> None:
    mixing = dict(augments=dict(type="Mixup", alpha=0.8))
    settings = dict(EVERYTHING, train_cfg=mixing)
    model = cfg(**settings)
    model["data_preprocessor"]["num_classes"] = 4
    model["head"]["cal_acc"] = False
    loss, _ = losses_of(build(model), batch())
    assert loss.isfinite()


def test_a_head_with_a_loss_of_its_own_sees_a_view_at_a_time() -> None:
    head = dict(type="ArcFaceClsHead", num_classes=4, in_channels=64)
    tasks = dict(EVERYTHING, terms=[FMA, TASK])
    _, log = losses_of(build(dict(cfg(**tasks), head=head)), batch())
    assert {"loss", "b.loss", "a.loss_fma"} <= log.keys()
    with pytest.raises(InputError, match="ArcFaceClsHead has a loss of its own"):
        build(dict(cfg(**EVERYTHING), head=head))
    with pytest.raises(InputError, match="needs a head"):
        build(dict(cfg(**tasks), head=None))


def test_trains_under_a_runner_and_resumes(tmp_path) -> None:
    def run(name: str, **changes: Any) -> Runner:
        runner = Runner(
            model=cfg(**EVERYTHING), work_dir=str(tmp_path / name), default_scope="mmpretrain",
            train_dataloader=dict(
                dataset=Colours(), batch_size=4, num_workers=0,
                sampler=dict(type="DefaultSampler", shuffle=True),
                collate_fn=dict(type="default_collate"),
            ),
            train_cfg=dict(by_epoch=False, max_iters=4),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)),
            randomness=dict(seed=0), experiment_name=f"classifier-{name}", **changes,
        )  # fmt: skip
        runner.train()
        return runner

    whole = run("whole").model.state_dict()
    start = str(tmp_path / "whole" / "iter_2.pth")
    resumed = run("resumed", load_from=start, resume=True).model.state_dict()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def dfmx(count: int = 4) -> dict[str, Any]:
    """Settings of a training on filtered images alone."""
    augment = DominantFrequencies(made(random_maps(count, 16, 16), task="classification"), 0.7)
    term = dict(type="TaskLossTerm", weight=1.0, view="filtered")
    return dict(
        views=dict(filtered=augment), terms=[term], clean_weight=0.0, channel_order="rgb", seed=3
    )


def test_views_that_read_labels() -> None:
    model, data = build(cfg(**dfmx())), batch(8)
    ready = model.data_preprocessor(data, True)
    drawn = model.multi_view.draw(model, ready["inputs"], ready["data_samples"])
    present = classes_in(torch.arange(8)[:, None] % 4, 4)
    seeds = [hash_parts(3, 0, 0, "filtered", place) for place in range(8)]
    altered = dfmx()["views"]["filtered"](data["inputs"].float(), seeds, present)
    assert 0 < sum(torch.equal(*pair) for pair in zip(altered, data["inputs"].float())) < 8
    preprocess = model.data_preprocessor
    expected = (altered - preprocess.mean) / preprocess.std
    torch.testing.assert_close(drawn, expected, rtol=1e-4, atol=1e-4)
    assert losses_of(model, batch())[0].isfinite()
    with pytest.raises(InputError, match="those of 5 classes, here are 4"):
        build(cfg(**dfmx(5)))


def test_classes_of_one_label_several_and_mixed_ones() -> None:
    from mmpretrain.structures import DataSample

    model = build(cfg(**dfmx()))

    def present(*samples: DataSample) -> list[list[int]]:
        classes = model.classes_present(list(samples), 4)
        return [row.nonzero()[:, 0].tolist() for row in classes]

    labels = [torch.tensor(own) for own in ([1, 3], [0], [0, 1, 2])]
    assert present(*(DataSample().set_gt_label(own) for own in (2, 0, 3))) == [[2], [0], [3]]
    assert present(*(DataSample().set_gt_label(own) for own in labels)) == [[1, 3], [0], [0, 1, 2]]
    scores = torch.tensor([[0.0, 0.4, 0.6, 0.0], [0.0, 0.0, 1.0, 0.0]])
    mixed = [DataSample().set_gt_label(2).set_gt_score(own) for own in scores]
    assert present(*mixed) == [[1, 2], [2]]
