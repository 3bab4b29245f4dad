"""What the loops over the cells of a protocol share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.amp import autocast
from torch import nn

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.corruptions.backends import get_backend
from mmseg_robust.engine.loops.cell_batches import CellBatch
from mmseg_robust.engine.loops.cell_loading import build_cells
from mmseg_robust.engine.loops.channel_order import Turn, channels_turned
from mmseg_robust.engine.loops.find_task import find_task
from mmseg_robust.engine.loops.run_identity import model_device
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.pending import Counter, Pending
from mmseg_robust.evaluation.results import ImageResult, ResultSums
from mmseg_robust.models.fused_attention import attention_as, check_attention


@contextmanager
def algorithms_by_rule() -> Iterator[None]:
    """Has cuDNN choose by rule, not by trials, which stock configs ask for (``cudnn_benchmark``).

    Which algorithm wins a trial differs from process to process, and with it the rounding: neither
    two ranks nor a run that was killed would give the numbers of one to the bit. PyTorch remembers
    a choice without how it was made, but apart for deterministic algorithms: asked for those, a
    validation does not meet the trials of its training, nor the training those choices.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before


@contextmanager
def model_as_tested(model: nn.Module, attention: str) -> Iterator[None]:
    """Has a model compute as the loops do, and cast each weight once, not each batch.

    The outermost autocast drops its copies of the weights when it ends. This one is off and does
    nothing but to be that.

    Args:
        model (nn.Module): The model.
        attention (str): How to compute attention, ``'fused'`` or ``'stock'``.
    """
    with (
        algorithms_by_rule(),
        attention_as(model, attention),
        torch.autocast(model_device(model).type, enabled=False),
    ):
        yield


class CellsLoop(BaseLoop):
    """Tests images, clean and in all cells of a protocol, and keeps what its task asks for.

    Args:
        runner (Runner): The runner.
        dataloader (dict): Config of the stock dataloader. Its sampler and batch size are replaced.
        evaluator (Evaluator | dict | list): The stock evaluator, which tells the task, see
            :func:`mmseg_robust.engine.loops.find_task.find_task`.
        protocol (str): Name of the protocol.
        seed (int): Seed of the corruptions.
        backend (str): Generator of the corruptions.
        cells_per_batch (int): Largest number of cells that go through the model at a time.
        pixels (str): Where cells are made, ``'device'`` or ``'host'``.
        fp16 (bool): Whether to test under autocast.
        attention (str): How to compute attention, ``'fused'`` or ``'stock'``.

    Raises:
        InputError: If a value is wrong, or dataset, model and evaluator do not fit the loop.
    """

    stage: str
    """``'test'`` or ``'val'``, as in the names of the hooks' methods."""

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: Evaluator | dict | list,
        protocol: str,
        seed: int,
        backend: str,
        cells_per_batch: int,
        pixels: str,
        fp16: bool,
        attention: str,
    ) -> None:
        self.protocol = get_protocol(protocol)
        get_backend(backend).check(self.protocol.corruptions)
        if not isinstance(cells_per_batch, int) or cells_per_batch < 1:
            raise InputError(f"cells_per_batch must be an integer from 1, got {cells_per_batch!r}.")
        self.attention = check_attention(attention)
        self.cells, settings = build_cells(
            runner, dataloader, self.protocol, seed, backend, cells_per_batch, pixels
        )
        self.settings = {**settings, "attention": attention}
        super().__init__(runner, self.cells)
        self.fp16 = fp16
        self.evaluator = (
            evaluator if isinstance(evaluator, Evaluator) else runner.build_evaluator(evaluator)
        )
        metainfo = self.cells.dataset.metainfo
        self.evaluator.dataset_meta = metainfo
        runner.visualizer.dataset_meta = metainfo
        self.task = find_task(self.evaluator, runner.model, metainfo)

    def _call(self, moment: str, **arguments: object) -> None:
        """Calls the hooks' method of a moment such as ``before_{}_iter``."""
        self.runner.call_hook(moment.format(self.stage), **arguments)

    def _model_as_tested(self) -> AbstractContextManager[None]:
        """Has the model compute as :func:`model_as_tested` says."""
        return model_as_tested(self.runner.model, self.attention)

    def _empty_sums(self) -> ResultSums:
        return self.task.empty_sums(self.cells.dataset.num_images, len(self.protocol.passes))

    @torch.no_grad()
    def _tested(self, images: Sequence[int]) -> Iterator[tuple[int, ImageResult]]:
        """Results of this rank's share of some images, in their order."""
        self.cells.set_images(images[get_rank() :: get_world_size()])
        device = model_device(self.runner.model)
        # One image late, so that the host need not wait for the device.
        late: tuple[int, Pending] | None = None
        counter: Counter | None = None
        left = 0
        with channels_turned(self.runner.model) as turn:
            for index, batch in enumerate(self.cells.batches(device)):
                if counter is None:
                    counter = self.task.counter(str(batch.image), self.protocol.passes)
                    left = len(self.protocol.passes)
                self._test(index, batch, counter, turn)
                left -= len(batch.passes)
                if left == 0:
                    if late is not None:
                        yield late[0], late[1].wait()
                    late, counter = (batch.image, counter.finish()), None
        if late is not None:
            yield late[0], late[1].wait()

    def _test(self, index: int, batch: CellBatch, counter: Counter, turn: Turn) -> None:
        """Tests one batch."""
        self._call("before_{}_iter", batch_idx=index, data_batch=batch.data)
        with autocast(enabled=self.fp16):
            outputs = self.runner.model.test_step(turn(batch.data))
        save = self.task.saver
        for cell, output in zip(batch.passes, outputs):
            sample = output.to_dict()
            counter.add(cell, self.task.seen(sample, batch.data))
            if save is not None:
                save(self.protocol.passes[cell], sample)
        self._call("after_{}_iter", batch_idx=index, data_batch=batch.data, outputs=outputs)

    def _join(self, sums: ResultSums) -> None:
        """Gives each rank the sums of all; each image was added by one."""
        for name in sums.joined:
            total = torch.from_numpy(getattr(sums, name))
            all_reduce(total)
            setattr(sums, name, total.numpy())
