"""Tiny linear-latent auto-encoders and their checkpoints, for the tests."""

from __future__ import annotations

from pathlib import Path

import torch

from mmseg_robust.augmentations.linear_latent_space import PREFIX, LinearLatentNetwork

CHANNELS = (4, 6, 8)


def small_network(in_channels: int = 3, seed: int = 0) -> LinearLatentNetwork:
    """A network of three stages with random weights and fitting statistics, in evaluation mode."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        network = LinearLatentNetwork(CHANNELS, in_channels).train()
        images = torch.rand(4, in_channels, 8, 8).repeat_interleave(4, -1).repeat_interleave(4, -2)
        for _ in range(20):  # the running statistics move by a tenth each time
            network.decode(network.encode(images), images.shape[-2:])
    return network.eval()


def write_checkpoint(path: Path, in_channels: int = 3) -> Path:
    """A checkpoint of a small network, as the model that is trained saves it."""
    tensors = small_network(in_channels).state_dict()
    torch.save({"state_dict": {PREFIX + name: own for name, own in tensors.items()}}, path)
    return path
