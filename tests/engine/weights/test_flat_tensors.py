"""Second versions of tensors: places, memory formats, data types, values to the bit."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_robust.engine.weights.flat_tensors import FlatTensors, SavedTensors


def some_tensors():
    torch.manual_seed(0)
    return [
        torch.randn(5, 3, 3, 3),
        torch.randn(7),
        torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last),
        torch.randn(3, 4, dtype=torch.float64),
        torch.randn(6, 6)[::2, 1:4],  # not dense
        torch.randn(2, 0),
        torch.tensor(3),
    ]


def test_every_tensor_has_a_place_of_its_own():
    tensors = some_tensors()
    flat = FlatTensors(tensors)
    assert {group.flat.dtype for group in flat.groups} == {
        torch.float32, torch.float64, torch.int64,
    }  # fmt: skip
    for index, (_, view) in enumerate(flat.pairs()):
        view.fill_(index + 1)
    pairs = list(flat.pairs())
    assert {id(tensor) for tensor, _ in pairs} == {id(tensor) for tensor in tensors}
    for index, (tensor, view) in enumerate(pairs):
        assert view.shape == tensor.shape
        assert (view == index + 1).all(), "no place overlaps another"
    used = sum(tensor.numel() for tensor in tensors)
    assert sum(int((group.flat != 0).sum()) for group in flat.groups) == used


def test_dense_tensors_keep_their_memory_format():
    tensor = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    ((_, view),) = FlatTensors([tensor]).pairs()
    assert view.stride() == tensor.stride()


def test_places_begin_at_whole_vectors():
    flat = FlatTensors([torch.zeros(3), torch.zeros(17), torch.zeros(1)])
    assert [view.storage_offset() % 16 for _, view in flat.pairs()] == [0, 0, 0]


def test_restores_to_the_bit_and_once():
    tensors = some_tensors()
    tensors[1][0], tensors[1][1] = float("nan"), -0.0
    expected = [tensor.clone() for tensor in tensors]
    saved = SavedTensors(tensors)
    saved.restore()
    saved.save()
    for tensor in tensors:
        tensor.add_(1)
    saved.restore()
    for tensor, want in zip(tensors, expected):
        assert torch.equal(tensor.isnan(), want.isnan())
        assert torch.equal(tensor.nan_to_num(), want.nan_to_num())
    assert torch.signbit(tensors[1][1])
    tensors[0].fill_(5)
    saved.restore()
    assert (tensors[0] == 5).all(), "nothing is held any more"


def test_parameters_keep_their_storage_and_graph():
    weight = torch.nn.Parameter(torch.ones(3))
    pointer = weight.data_ptr()
    saved = SavedTensors([weight])
    saved.save()
    with torch.no_grad():
        weight.mul_(2)
    saved.restore()
    assert weight.data_ptr() == pointer
    assert weight.is_leaf and weight.requires_grad


def test_no_tensors():
    saved = SavedTensors([])
    saved.save()
    saved.restore()
    assert saved.groups == []


class Count(TorchDispatchMode):
    """Counts the operators that reach the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


def test_operators_do_not_grow_with_the_number_of_tensors():
    def operators(number):
        saved = SavedTensors([torch.randn(4, 4) for _ in range(number)])
        with Count() as counter:
            saved.save()
            saved.restore()
        return counter.count

    assert operators(100) == operators(2) == 2
