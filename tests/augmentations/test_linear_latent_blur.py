"""Linear-latent blur as augmentation; what holds for all is in test_augmentations.py."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from augmentation_cases import largest_gap, pictures
from small_auto_encoders import small_network, write_checkpoint
from small_models import segformer_cfg

from mmseg_robust.augmentations import LinearLatentBlur, build_augmentation
from mmseg_robust.augmentations.defocus_levels import defocus
from mmseg_robust.augmentations.draws import drawn_between
from mmseg_robust.corruptions.random import RandomFields
from mmseg_robust.errors import InputError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_checkpoint(tmp_path_factory.mktemp("blur") / "small.pth"))


@pytest.mark.parametrize("level", [0, 5, 16])
def test_a_level_is_a_place_on_the_line(checkpoint: str, level: float) -> None:
    images, network = pictures(2, 45, 67), small_network()
    made = LinearLatentBlur(checkpoint, level)(images, [1, 2])
    with torch.no_grad():
        codes = [network.encode(own / 255) for own in (defocus(images, 0), images)]
        code = (1 - level / 16) * codes[0] + level / 16 * codes[1]
        expected = network.decode(code, (45, 67)) * 255
    assert torch.allclose(made, expected, atol=1e-3)


def test_each_image_draws_a_level_of_its_own(checkpoint: str) -> None:
    seeds = list(range(500))
    fields = RandomFields(seeds, "LinearLatentBlur", torch.device("cpu"))
    levels = torch.tensor(drawn_between((4, 12), fields, "level"))
    assert levels.min() >= 4 and levels.max() < 12
    assert largest_gap((levels - 4) / 8) < 1.95
    images = pictures(3, 33, 40)
    made = LinearLatentBlur(checkpoint, (4, 12))(images, seeds[:3])
    for index, level in enumerate(levels[:3].tolist()):
        alone = LinearLatentBlur(checkpoint, level)(images[index : index + 1], 9)
        assert torch.allclose(alone[0], made[index], atol=1e-3)


def test_the_auto_encoder_is_no_part_of_the_model_that_is_trained(checkpoint: str) -> None:
    import mmseg_robust  # noqa: F401  # isort: skip  (registers the model)
    from mmseg.registry import MODELS

    stock = MODELS.build(segformer_cfg())
    view = dict(type="LinearLatentBlur", checkpoint=checkpoint)
    model = MODELS.build(
        dict(
            segformer_cfg(),
            type="MultiViewEncoderDecoder",
            views=dict(blurred=view),
            terms=[dict(type="TaskLossTerm", weight=1.0, view="blurred")],
        )
    )
    assert model.state_dict().keys() == stock.state_dict().keys()
    assert len(list(model.parameters())) == len(list(stock.parameters()))
    network = model.multi_view.views.augmentations["blurred"].network
    before = copy.deepcopy(network.state_dict())
    model.train()
    assert not any(module.training for module in network.modules())
    images = torch.rand(2, 3, 64, 64)
    model.multi_view.views.draw(["clean", "blurred"], images, model.data_preprocessor)
    assert all(torch.equal(own, before[name]) for name, own in network.state_dict().items())


def test_bad_settings(checkpoint: str, tmp_path: Path) -> None:
    grey = write_checkpoint(tmp_path / "grey.pth", in_channels=1)
    for arguments, message in (
        (dict(checkpoint="nothing.pth"), "'nothing.pth' does not exist"),
        (dict(checkpoint=str(grey)), "takes grey images, views are RGB"),
        (dict(checkpoint=checkpoint, level=17), "level is 17; it must be a number from 0 to 16"),
        (dict(checkpoint=checkpoint, level=(8, 4)), "the smaller first"),
        (dict(), "missing a required argument: 'checkpoint'"),
    ):
        with pytest.raises(InputError, match=message):
            build_augmentation(dict(type="LinearLatentBlur", **arguments))
    with pytest.raises(InputError, match="too small"):
        LinearLatentBlur(checkpoint)(pictures(1, 10, 40), 1)
