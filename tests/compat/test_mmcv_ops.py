"""The stand-in for mmcv's compiled operators."""

from __future__ import annotations

import pkgutil
import sys
from types import ModuleType

import mmcv
import pytest
import torch
from mmcv.utils import collect_env
from mmengine.utils.dl_utils.misc import mmcv_full_available

from mmseg_robust.compat import mmcv_ops

needs_lite = pytest.mark.skipif(
    pkgutil.find_loader("mmcv._ext") is not None, reason="a full mmcv is installed"
)


@needs_lite
def test_operators_written_in_python_work() -> None:
    from mmcv.ops import point_sample

    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    centre = torch.tensor([[[0.5, 0.5]]])
    assert point_sample(image, centre).item() == pytest.approx(7.5)


@needs_lite
def test_compiled_operator_says_what_to_do_when_called() -> None:
    from mmcv.ops import nms

    with pytest.raises(RuntimeError, match=r"'nms' is compiled code.*Install the full mmcv"):
        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([0.5]), 0.5)


@needs_lite
def test_mmengine_still_knows_that_mmcv_is_lite() -> None:
    assert "mmcv._ext" in sys.modules
    assert not mmcv_full_available()


@needs_lite
def test_environment_report_works() -> None:
    assert collect_env()["MMCV Compiler"] == "not compiled (mmcv-lite)"


@needs_lite
def test_unknown_dunder_is_an_attribute_error() -> None:
    assert not hasattr(sys.modules["mmcv._ext"], "__path__")


def test_second_call_changes_nothing() -> None:
    before = sys.modules.get("mmcv._ext")
    assert mmcv_ops.stub_mmcv_ext() is False
    assert sys.modules.get("mmcv._ext") is before


def test_missing_extension_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
    monkeypatch.setattr(mmcv, "_ext", None, raising=False)
    monkeypatch.setattr(mmcv_ops, "find_spec", {"mmcv": object(), "mmcv._ext": None}.get)
    assert mmcv_ops.stub_mmcv_ext() is True
    assert mmcv._ext is sys.modules["mmcv._ext"]


@pytest.mark.parametrize("found", [{}, {"mmcv": object(), "mmcv._ext": object()}])
def test_no_mmcv_or_a_full_one_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, object]
) -> None:
    monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
    monkeypatch.setattr(mmcv_ops, "find_spec", found.get)
    assert mmcv_ops.stub_mmcv_ext() is False
    assert "mmcv._ext" not in sys.modules


def test_imported_extension_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ModuleType("mmcv._ext")
    monkeypatch.setitem(sys.modules, "mmcv._ext", real)
    assert mmcv_ops.stub_mmcv_ext() is False
    assert sys.modules["mmcv._ext"] is real
