"""What the loops over the cells of a protocol share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.amp import autocast

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.corruptions.backends import get_backend
from mmseg_robust.engine.loops.cell_batches import CellBatch
from mmseg_robust.engine.loops.cell_loading import build_cells
from mmseg_robust.engine.loops.run_identity import model_device
from mmseg_robust.engine.loops.stock_metric import find_iou_metric, save_label_map
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.comparison import dataset_classes
from mmseg_robust.evaluation.image_counts import CountSums, ImageCounts, RunCounts
from mmseg_robust.evaluation.pass_counts import PassCounter, PendingCounts, with_own_logits


class CellsLoop(BaseLoop):
    """Tests images, clean and in all cells of a protocol, and counts.

    Args:
        runner (Runner): The runner.
        dataloader (dict): Config of the stock dataloader. Its sampler and batch size are replaced.
        evaluator (Evaluator | dict | list): The stock evaluator, with one ``IoUMetric``, which also
            gives the ``ignore_index``.
        protocol (str): Name of the protocol.
        seed (int): Seed of the corruptions.
        backend (str): Generator of the corruptions.
        cells_per_batch (int): Largest number of cells that go through the model at a time.
        pixels (str): Where cells are made, ``'device'`` or ``'host'``.
        fp16 (bool): Whether to test under autocast.

    Raises:
        InputError: If a value is wrong, or dataset and evaluator do not fit the loop.
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
    ) -> None:
        self.protocol = get_protocol(protocol)
        get_backend(backend).check(self.protocol.corruptions)
        if not isinstance(cells_per_batch, int) or cells_per_batch < 1:
            raise InputError(f"cells_per_batch must be an integer from 1, got {cells_per_batch!r}.")
        self.cells, self.settings = build_cells(
            runner, dataloader, self.protocol, seed, backend, cells_per_batch, pixels
        )
        super().__init__(runner, self.cells)
        self.fp16 = fp16
        self.evaluator = (
            evaluator if isinstance(evaluator, Evaluator) else runner.build_evaluator(evaluator)
        )
        metainfo = self.cells.dataset.metainfo
        self.evaluator.dataset_meta = metainfo
        runner.visualizer.dataset_meta = metainfo
        self.metric = find_iou_metric(self.evaluator)
        self.classes = dataset_classes(metainfo)

    def _call(self, moment: str, **arguments: object) -> None:
        """Calls the hooks' method of a moment such as ``before_{}_iter``."""
        self.runner.call_hook(moment.format(self.stage), **arguments)

    def _empty_sums(self) -> CountSums:
        images = self.cells.dataset.num_images
        return CountSums(images, len(self.protocol.passes), len(self.classes))

    @torch.no_grad()
    def _tested(self, images: Sequence[int]) -> Iterator[tuple[int, ImageCounts]]:
        """Counts of this rank's share of some images, in their order."""
        self.cells.set_images(images[get_rank() :: get_world_size()])
        device = model_device(self.runner.model)
        # One image late, so that the host need not wait for the device.
        late: tuple[int, PendingCounts] | None = None
        counter: PassCounter | None = None
        left = 0
        for index, batch in enumerate(self.cells.batches(device)):
            if counter is None:
                counter = PassCounter(
                    str(batch.image), self.protocol.passes, len(self.classes),
                    self.metric.ignore_index,
                )  # fmt: skip
                left = len(self.protocol.passes)
            self._test(index, batch, counter)
            left -= len(batch.passes)
            if left == 0:
                if late is not None:
                    yield late[0], late[1].wait()
                late, counter = (batch.image, counter.finish()), None
        if late is not None:
            yield late[0], late[1].wait()

    def _test(self, index: int, batch: CellBatch, counter: PassCounter) -> None:
        """Tests one batch."""
        self._call("before_{}_iter", batch_idx=index, data_batch=batch.data)
        with autocast(enabled=self.fp16):
            outputs = self.runner.model.test_step(batch.data)
        for cell, output in zip(batch.passes, outputs):
            sample = output.to_dict()
            counter.add(cell, with_own_logits(sample, batch.data))
            if self.metric.output_dir is not None:
                save_label_map(self.metric, str(self.protocol.passes[cell]), sample)
        self._call("after_{}_iter", batch_idx=index, data_batch=batch.data, outputs=outputs)

    def _joined(self, sums: CountSums) -> RunCounts:
        """The sums of all ranks; each image was counted by one."""
        for name in ("areas", "confusion", "nan_images", "flips", "confidence"):
            total = torch.from_numpy(getattr(sums, name))
            all_reduce(total)
            setattr(sums, name, total.numpy())
        return sums.finish(self.cells.dataset.names())
