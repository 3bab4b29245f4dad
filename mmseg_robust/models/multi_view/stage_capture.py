"""Keeps the stage outputs of one forward pass for a loss term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmseg_robust.errors import InputError
from mmseg_robust.models.stage_outputs import ModuleSpec, find_stage_outputs

_CHANNELS = {"NCHW": 1, "NLC": 2, "NHWC": 3}


class StageCapture:
    """Reads the outputs of a model's encoder stages, wherever the backbone puts them.

    A stage output is read before CWFA shifts it, whether CWFA was attached before or after.

    Args:
        model (nn.Module): A model with a ``backbone``.
        stages (Sequence[int], optional): Stages from 0. Defaults to None, all.
        modules (Sequence, optional): Module paths for an unknown backbone, see
            :func:`~mmseg_robust.models.stage_outputs.find_stage_outputs`.

    Raises:
        InputError: If the stages cannot be found.
    """

    def __init__(
        self,
        model: nn.Module,
        stages: Sequence[int] | None = None,
        modules: Sequence[ModuleSpec] | None = None,
    ) -> None:
        outputs = find_stage_outputs(model, stages, modules)
        self.paths = [output.path for output in outputs]
        self.reading = False
        self._maps: list[Tensor | None] = [None] * len(outputs)
        for place, output in enumerate(outputs):
            output.module.register_forward_hook(_Read(self, place, output.layout), prepend=True)

    def start(self) -> None:
        """Read in the coming forward pass."""
        self._maps = [None] * len(self._maps)
        self.reading = True

    def keep(self, place: int, output: Any, layout: str | None) -> None:
        """Keep a stage's output.

        Args:
            place (int): Index of the stage among those that are read.
            output (Tensor): (N, C, H, W), (N, L, C) or (N, H, W, C).
            layout (str, optional): Its layout. Default: NCHW for four dimensions, NLC for three.

        Raises:
            InputError: If it is not such a tensor.
        """
        if not isinstance(output, Tensor) or output.dim() not in (3, 4):
            got = (
                f"a tensor of {output.dim()} dimensions"
                if isinstance(output, Tensor)
                else type(output).__name__
            )
            raise InputError(
                f"The module {self.paths[place]!r} returns {got}; a stage output is one tensor, "
                "(N, C, H, W) or (N, L, C). Name another module."
            )
        channels = _CHANNELS[layout or ("NCHW" if output.dim() == 4 else "NLC")]
        self._maps[place] = output.movedim(channels, 1)

    def take(self) -> list[Tensor]:
        """The stage outputs of the forward pass; they are not kept any longer.

        Returns:
            list[Tensor]: One a stage, channels second, (N, C, ...).

        Raises:
            InputError: If the pass did not reach a stage.
        """
        maps, self._maps, self.reading = self._maps, [None] * len(self._maps), False
        for path, found in zip(self.paths, maps):
            if found is None:
                raise InputError(
                    f"The module {path!r} was not called in the forward pass, so its output cannot "
                    "be compared. Name a module that is called, not a list of modules."
                )
        return [found for found in maps if found is not None]


class _Read:
    """Forward hook of one stage; an object, so that it can be copied with the network."""

    def __init__(self, capture: StageCapture, place: int, layout: str | None) -> None:
        self.capture = capture
        self.place = place
        self.layout = layout

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self.capture.reading:
            self.capture.keep(self.place, output, self.layout)
