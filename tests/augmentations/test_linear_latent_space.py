"""The auto-encoder of linear-latent blur against its equations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from augmentation_cases import pictures
from small_auto_encoders import CHANNELS, small_network, write_checkpoint
from torch import Tensor, nn
from torch.nn import functional

from mmseg_robust.augmentations.linear_latent_space import (
    TRIPLETS,
    LinearLatentNetwork,
    linearity_losses,
    load_network,
)
from mmseg_robust.errors import InputError


def batch_norm(x: Tensor, tensors: dict[str, Tensor], name: str) -> Tensor:
    """With the batch's own statistics, then the leaky ReLU."""
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), False, keepdim=True)
    weight, bias = (tensors[f"{name}.{own}"].view(1, -1, 1, 1) for own in ("weight", "bias"))
    x = (x - mean) / (variance + 1e-5).sqrt() * weight + bias
    return torch.where(x > 0, x, 0.01 * x)


def encoded(tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    for stage in range(len(CHANNELS)):
        weight, bias = (tensors[f"encoder.{stage}.0.{own}"] for own in ("weight", "bias"))
        x = functional.conv2d(x, weight, bias, stride=2, padding=1)
        x = batch_norm(x, tensors, f"encoder.{stage}.1")
    return x


def decoded(tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    count = len(CHANNELS)
    for stage in range(count):
        weight, bias = (tensors[f"decoder.{stage}.0.{own}"] for own in ("weight", "bias"))
        x = functional.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)
        x = batch_norm(x, tensors, f"decoder.{stage}.1")
    weight, bias = (tensors[f"decoder.{count}.{own}"] for own in ("weight", "bias"))
    return 1 / (1 + torch.exp(-functional.conv2d(x, weight, bias, padding=1)))


@pytest.mark.parametrize("linearity", ["baseline", "implicit", "explicit"])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_losses_and_gradients_equal_the_equations(linearity: str, in_channels: int) -> None:
    network = small_network(in_channels).double().train()
    left, right, target = (
        pictures(2, 32, 48, seed)[:, :in_channels].double() / 255 for seed in range(3)
    )
    losses = linearity_losses(network, left, right, target, linearity)
    sum(losses.values()).backward()

    tensors = {
        name: own.detach().clone().requires_grad_(own.is_floating_point())
        for name, own in network.state_dict().items()
    }
    codes = [encoded(tensors, x) for x in (left, right, target)]
    middle = 0.5 * codes[0] + 0.5 * codes[1]
    expected = 0.5 * (
        ((decoded(tensors, codes[0]) - left) ** 2).mean()
        + ((decoded(tensors, codes[1]) - right) ** 2).mean()
    )
    if linearity != "baseline":
        expected = expected + ((decoded(tensors, middle) - target) ** 2).mean()
    if linearity == "explicit":
        expected = expected + ((middle - codes[2]) ** 2).mean()
    expected.backward()
    assert sum(losses.values()).item() == pytest.approx(expected.item(), rel=1e-9)
    assert len(losses) == {"baseline": 1, "implicit": 2, "explicit": 3}[linearity]
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter.grad, tensors[name].grad, atol=1e-10), name


def test_the_paper_s_sizes() -> None:
    network = LinearLatentNetwork(in_channels=1).eval()
    with torch.no_grad():
        code = network.encode(torch.zeros(1, 1, 128, 128))
        assert code.shape == (1, 1024, 4, 4)
        assert network.decode(code, (128, 128)).shape == (1, 1, 128, 128)
    assert [type(layer).__name__ for layer in network.decoder[0]] == [
        "ConvTranspose2d",
        "BatchNorm2d",
        "LeakyReLU",
    ]
    assert len(network.encoder) == 5 and len(network.decoder) == 7
    assert all(left + right == 2 * target for left, right, target in TRIPLETS)


def test_sizes_that_do_not_divide_are_filled_up_and_cut() -> None:
    network, images = small_network(), pictures(2, 45, 67) / 255
    filled = functional.pad(images, (0, 5, 0, 3), mode="replicate")
    with torch.no_grad():
        made = network.decode(network.encode(images), images.shape[-2:])
        expected = network.decoder(network.encoder(filled))[..., :45, :67]
    assert torch.equal(made, expected)


def toy() -> LinearLatentNetwork:
    network = LinearLatentNetwork((4,))
    network.encoder, network.decoder, network.divisor = nn.Identity(), nn.Identity(), 1
    return network


def test_with_the_identity_as_auto_encoder_it_is_interpolation_of_pixels() -> None:
    blurred, sharp = (pictures(1, 33, 40, seed) / 255 for seed in (1, 2))
    shares = torch.tensor([0.0, 0.25, 0.5, 1.0])
    made = toy().on_line(blurred, sharp, shares)
    for share, image in zip(shares, made):
        assert torch.allclose(image, ((1 - share) * blurred + share * sharp)[0], atol=1e-6)
    losses = linearity_losses(toy(), blurred, sharp, (blurred + sharp) / 2, "explicit")
    assert all(loss < 1e-12 for loss in losses.values())


@pytest.mark.parametrize("beta", [1 / 8, 0.5, 7 / 8])
def test_extrapolation_undoes_interpolation(beta: float) -> None:
    blurred, sharp = (pictures(1, 33, 40, seed) / 255 for seed in (1, 2))
    between = (1 - beta) * blurred + beta * sharp
    made = toy().on_line(blurred, between, torch.tensor([1 / beta]))
    assert torch.allclose(made, sharp, atol=1e-5)
    network = small_network().double()
    blurred, between = blurred.double(), between.double()
    with torch.no_grad():
        made = network.on_line(blurred, between, torch.tensor([1 / beta], dtype=torch.float64))
        code = network.encode(between) / beta - (1 - beta) / beta * network.encode(blurred)
        assert torch.allclose(made, network.decode(code, (33, 40)), atol=1e-9)


def test_a_checkpoint_brings_its_own_channels(tmp_path: Path) -> None:
    for in_channels in (1, 3):
        network = load_network(write_checkpoint(tmp_path / "small.pth", in_channels))
        wanted = small_network(in_channels).state_dict()
        assert network.in_channels == in_channels and not network.training
        assert not any(own.requires_grad for own in network.parameters())
        for name, own in network.state_dict().items():
            assert torch.equal(own, wanted[name]), name
    content = torch.load(tmp_path / "small.pth")["state_dict"]
    half = {f"module.{name}": own.half() for name, own in content.items()}
    torch.save(half, tmp_path / "half.pth")
    loaded = load_network(tmp_path / "half.pth").state_dict()
    assert all(own.dtype != torch.float16 for own in loaded.values())


def test_checkpoints_of_other_models(tmp_path: Path) -> None:
    def message(content: object) -> str:
        torch.save(content, tmp_path / "other.pth")
        with pytest.raises(InputError) as error:
            load_network(tmp_path / "other.pth")
        return str(error.value)

    segmentor = {"backbone.weight": torch.zeros(3), "network.encoder.0.0.weight": torch.zeros(3)}
    tensors = {f"network.{name}": own for name, own in small_network().state_dict().items()}
    for content in (
        {},
        [1, 2],
        {"state_dict": segmentor},
        {name: own for name, own in tensors.items() if "decoder.1" not in name},
        {**tensors, "network.decoder.0.0.weight": torch.zeros(1, 1, 3, 3)},
    ):
        assert "is not of a LinearLatentAutoEncoder" in message(content)
    (tmp_path / "text.pth").write_text("no checkpoint")
    with pytest.raises(InputError, match="cannot be read"):
        load_network(tmp_path / "text.pth")
    with pytest.raises(InputError, match=r"nothing.pth' does not exist"):
        load_network(tmp_path / "nothing.pth")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(in_channels=2), "in_channels is 2; it must be 1"),
        (dict(channels=()), "channels is"),
        (dict(channels=(8, 0)), "channels is"),
        (dict(channels=(2,) * 9), "1 to 8 whole numbers"),
    ],
)
def test_bad_settings(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LinearLatentNetwork(**arguments)


def test_images_with_other_channels() -> None:
    with pytest.raises(InputError, match="takes images of 1 channels, these have 3"):
        small_network(1).encode(torch.zeros(1, 3, 32, 32))
