"""Checkpoints of another architecture, unreadable ones, and the one to resume from."""

from __future__ import annotations

import collections
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import mmseg_robust  # noqa: F401  mends what MMSegmentation's import needs

# isort: split
from mmseg.models.backbones import MixVisionTransformer

from mmseg_robust.engine.hooks.checkpoint_checks import (
    check_pretrained,
    check_start,
    compare,
    find_resumable,
    read,
)
from mmseg_robust.errors import InputError


class Segmentor(nn.Module):
    """A MiT with the least of a head."""

    def __init__(self, layers: tuple[int, ...], classes: int = 4, **backbone: Any) -> None:
        super().__init__()
        self.backbone = MixVisionTransformer(
            embed_dims=8, num_layers=layers, num_heads=[1] * 4, **backbone
        )
        self.decode_head = nn.Linear(8, classes)


SMALL = Segmentor((1, 1, 2, 1))  # to LARGE as B2 is to B3: the third stage is longer
LARGE = Segmentor((1, 1, 3, 1))


def start(model: nn.Module, state: dict[str, Any]) -> str:
    return check_start(compare(model.state_dict(), state), "start.pth")


def test_training_starts_from_the_same_backbone_only() -> None:
    assert start(SMALL, {"state_dict": SMALL.state_dict()}) == ""
    with pytest.raises(InputError, match=r"another architecture.*missing.*layers\.2\.1\.2"):
        start(LARGE, SMALL.state_dict())
    with pytest.raises(InputError, match=r"another architecture.*not in the model"):
        start(SMALL, LARGE.state_dict())
    assert "decode_head" in start(Segmentor((1, 1, 2, 1), classes=7), SMALL.state_dict())


def test_training_starts_from_a_backbone_without_a_head() -> None:
    state = {n: t for n, t in SMALL.state_dict().items() if n.startswith("backbone.")}
    assert "2 tensors missing in the checkpoint (decode_head" in start(SMALL, state)
    state.pop("backbone.layers.3.2.weight")
    with pytest.raises(InputError, match="another architecture"):
        start(SMALL, state)
    with pytest.raises(InputError, match="init_cfg"):  # names without 'backbone.'
        start(SMALL, dict(SMALL.backbone.state_dict()))


def pretrained(path: Path, prefix: str | None = None, layers: Any = (1, 1, 2, 1)) -> list[str]:
    init_cfg = dict(type="Pretrained", checkpoint=str(path), prefix=prefix)
    return check_pretrained(Segmentor(layers, init_cfg=init_cfg).backbone)


def test_pretrained_backbone(tmp_path: Path) -> None:
    assert check_pretrained(SMALL.backbone) == []
    path = tmp_path / "backbone.pth"
    with pytest.raises(InputError, match=re.escape(f"'{path}' does not exist")):
        pretrained(path)
    torch.save({**SMALL.backbone.state_dict(), "head.fc.weight": torch.zeros(2)}, path)
    assert pretrained(path) == []
    (warning,) = pretrained(path, layers=(1, 1, 3, 1))
    assert "layers.2.1.2" in warning
    with pytest.raises(InputError, match="not of a MixVisionTransformer"):
        pretrained(path, layers=(3, 3, 3, 3))
    state = SMALL.backbone.state_dict()
    state["layers.0.0.projection.weight"] = torch.zeros(16, 3, 7, 7)
    torch.save(state, path)
    with pytest.raises(InputError, match=r"layers\.0\.0\.projection\.weight"):
        pretrained(path)
    assert check_pretrained(
        Segmentor(
            (1, 1, 2, 1), init_cfg=dict(type="Pretrained", checkpoint="https://a.example/b.pth")
        ).backbone
    ) == []  # fmt: skip


def test_pretrained_backbone_inside_a_whole_model(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"state_dict": SMALL.state_dict()}, path)
    with pytest.raises(InputError, match=r"0 of \d+ tensors fit.*prefix"):
        pretrained(path)
    assert pretrained(path, "backbone.") == pretrained(path, "backbone") == []


def unreadable(folder: Path) -> dict[str, Path]:
    paths = {name: folder / f"{name}.pth" for name in ("text", "empty", "list", "cut", "nested")}
    paths["text"].write_text("hello, this is no checkpoint\n")
    paths["empty"].touch()
    torch.save([torch.zeros(2)], paths["list"])
    torch.save({"state_dict": [1, 2]}, paths["nested"])
    save(paths["cut"], cut=True)
    return paths


def save(path: Path, cut: bool = False) -> Path:
    torch.save({"state_dict": {"weight": torch.zeros(1000)}}, path)
    if cut:
        path.write_bytes(path.read_bytes()[:2000])
    return path


def test_unreadable_checkpoints(tmp_path: Path) -> None:
    for path in unreadable(tmp_path).values():
        with pytest.raises(InputError, match=re.escape(f"'{path}' cannot be read: ")) as caught:
            read(str(path))
        assert "\n" not in str(caught.value)
    assert set(read(str(save(tmp_path / "good.pth")))) == {"state_dict"}


def test_refused_checkpoint(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "names": collections.deque([1])}, tmp_path / "code.pth")
    with pytest.raises(InputError, match=r"is refused: .*collections\.deque.*can run code"):
        read(str(tmp_path / "code.pth"))


def test_resuming_finds_the_named_checkpoint(tmp_path: Path) -> None:
    assert find_resumable(str(tmp_path)) == (None, "")
    path = str(save(tmp_path / "iter_100.pth"))
    save(tmp_path / "iter_200.pth")
    for named in (path, "/folder/before/it/was/moved/iter_100.pth"):
        (tmp_path / "last_checkpoint").write_text(named)
        assert find_resumable(str(tmp_path)) == (path, "")


@pytest.mark.parametrize("named", ["iter_200.pth", "iter_300.pth", "", None])
def test_resuming_after_a_crash_while_saving(tmp_path: Path, named: str | None) -> None:
    """The newest file is cut off, and ``last_checkpoint`` names it, a deleted one or nothing."""
    save(tmp_path / "iter_100.pth")
    save(tmp_path / "iter_1000.pth")
    save(tmp_path / "iter_2000.pth", cut=True)
    if named is not None:
        (tmp_path / "last_checkpoint").write_text(str(tmp_path / named) if named else "")
    path, warning = find_resumable(str(tmp_path))
    assert path == str(tmp_path / "iter_1000.pth")
    assert path in warning
    assert named is None or "cannot be read" in warning


def test_nothing_left_to_resume_from(tmp_path: Path) -> None:
    save(tmp_path / "iter_100.pth", cut=True)
    assert find_resumable(str(tmp_path)) == (None, "")  # killed during the first save
    (tmp_path / "last_checkpoint").write_text("iter_50.pth")
    with pytest.raises(InputError, match=r"names the checkpoint 'iter_50\.pth'"):
        find_resumable(str(tmp_path))
