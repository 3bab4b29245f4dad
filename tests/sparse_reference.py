"""Sparse training written down plainly, as loops over lists, to compare the hook with."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from mmengine.hooks import Hook
from mmseg.registry import MODELS
from small_models import segformer_cfg, weights

from mmseg_robust.engine.weights.sparsity.settings import Settings
from mmseg_robust.engine.weights.sparsity.updates import random_generator

LAYERS = {
    "backbone.layers.3.1.0.attn.attn.in_proj_weight": 3072,
    "backbone.layers.3.1.0.attn.attn.out_proj.weight": 1024,
    "decode_head.fusion_conv.conv.weight": 1024,
}
"""A few layers of the small SegFormer, so that lists are quick."""
INCLUDE = [r"layers\.3\.1\.0\.attn\.attn", "fusion_conv"]


def settings(method: str = "rigl", **changes: Any) -> Settings:
    """Settings with the values that a test does not care for."""
    values: dict[str, Any] = dict(
        sparsity=0.5, distribution="uniform", interval=1, drop_fraction=0.4, end=10,
        init="random", growth=None, grad_weight=None, memory_bound=None, initial_sparsity=None,
        include=(), exclude=None, seed=0,
    )  # fmt: skip
    return Settings(method=method, **dict(values, **changes))


def calm_segformer_cfg() -> dict[str, Any]:
    """The small SegFormer without random numbers in training."""
    cfg = segformer_cfg(drop_rate=0.0, drop_path_rate=0.0)
    cfg["decode_head"]["dropout_ratio"] = 0.0
    return cfg


class Recorder(Hook):
    """Keeps the state before training, every batch, and the state after every iteration."""

    priority = "VERY_HIGH"

    def before_train(self, runner):
        self.initial = weights(runner)
        self.batches, self.states = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.batches.append(copy.deepcopy(data_batch))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.states.append(weights(runner))


class PlainLoop:
    """Trains as the hook should, with three masked layers, uniform, masks by magnitude.

    Args:
        recorder (Recorder): Of the run to compare with.
        method (str): As the hook's.
        optimizer (dict): Type and arguments of the optimizer.
        sparsity, interval, drop_fraction, end: As the hook's, ``end`` in updates.
        accumulation (int): Micro-batches of an update.
        clip (float, optional): Norm to clip at.
        skipped (set of int): Iterations whose step is left out.
    """

    def __init__(
        self, recorder, method, optimizer, sparsity, interval, drop_fraction, end,
        accumulation=1, clip=None, skipped=(),
    ):  # fmt: skip
        self.method, self.sparsity, self.interval = method, sparsity, interval
        self.drop_fraction, self.end, self.last = drop_fraction, end, end // interval * interval
        self.model = MODELS.build(calm_segformer_cfg())
        self.model.load_state_dict(recorder.initial)
        self.model.train()
        parameters = dict(self.model.named_parameters())
        self.layers = [parameters[name] for name in LAYERS]
        kind = getattr(torch.optim, optimizer["type"])
        options = {key: value for key, value in optimizer.items() if key != "type"}
        self.optimizer = kind(self.model.parameters(), **options)
        self.targets = [round((1 - sparsity) * size) for size in LAYERS.values()]
        self.active = [
            set(self.largest(layer, range(layer.numel()), count))
            for layer, count in zip(self.layers, self.first_counts())
        ]
        self.mask()
        self.states, self.updates = [], 0
        for iteration, batch in enumerate(recorder.batches):
            data = self.model.data_preprocessor(batch, True)
            loss, _ = self.model.parse_losses(self.model(**data, mode="loss"))
            (loss / accumulation).backward()
            if (iteration + 1) % accumulation == 0:
                if iteration not in skipped:
                    self.update(clip)
                self.optimizer.zero_grad()
            self.states.append({k: v.clone() for k, v in self.model.state_dict().items()})

    def first_counts(self):
        if self.method == "mest":
            return [round(1.1 * count) for count in self.targets]
        if self.method == "granet":
            return [round(0.8 * size) for size in LAYERS.values()]
        return self.targets

    def update(self, clip):
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        self.optimizer.step()
        self.mask()
        self.updates += 1
        due = self.updates % self.interval == 0 and self.updates <= self.end
        if due and self.method != "static":
            self.drop_and_grow()
            self.mask()

    def mask(self):
        with torch.no_grad():
            for layer, active in zip(self.layers, self.active):
                inactive = [i for i in range(layer.numel()) if i not in active]
                layer.view(-1)[inactive] = 0
                for value in self.optimizer.state.get(layer, {}).values():
                    if isinstance(value, torch.Tensor) and value.shape == layer.shape:
                        value.view(-1)[inactive] = 0

    def drop_and_grow(self):
        now = self.updates
        cosine = (1 + math.cos(math.pi * now / self.end)) / 2
        if self.method == "granet":
            self.prune(now)
        draw = random_generator(0, now, torch.device("cpu"))
        for i, layer in enumerate(self.layers):
            random = torch.rand(layer.numel(), generator=draw)
            before = len(self.active[i])
            if self.method == "mest":
                keep = self.targets[i] - int(self.drop_fraction * cosine * self.targets[i])
                surplus = 0.1 * cosine if now < self.last else 0.0
                after = round(self.targets[i] * (1 + surplus))
            else:
                keep = before - int(self.drop_fraction * cosine * before)
                after = before
            kept = self.largest(layer, self.active[i], keep)
            others = set(range(layer.numel())) - set(kept)
            by = layer.grad if self.method in ("rigl", "granet") else random
            self.active[i] = {*kept, *self.largest(by, others, after - keep)}

    def prune(self, now):
        start, end = sum(self.first_counts()), sum(self.targets)
        count = round(start + (end - start) * (1 - (1 - now / self.last) ** 3))
        everything = [
            (-abs(value), i, place)
            for i, layer in enumerate(self.layers)
            for place, value in enumerate(layer.detach().view(-1).tolist())
            if place in self.active[i]
        ]
        kept = sorted(everything)[:count]
        self.active = [{p for _, j, p in kept if j == i} for i in range(len(self.layers))]

    @staticmethod
    def largest(tensor, places, count):
        values = tensor.detach().flatten().tolist()
        return sorted(places, key=lambda place: (-abs(values[place]), place))[:count]
