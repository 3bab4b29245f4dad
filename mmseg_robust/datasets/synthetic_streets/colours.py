"""Colours of things, as RGB, and how they vary.

Classes share colours on purpose: a wall may have a building's, a pavement the road's, a coat any.
What a thing is shows in its shape, its texture and its place.
"""

from __future__ import annotations

import numpy as np

Colour = tuple[int, int, int]

FACADES: tuple[Colour, ...] = (
    (176, 160, 138), (150, 118, 96), (190, 184, 172), (128, 126, 124), (158, 96, 78),
    (198, 178, 140), (112, 104, 98), (170, 172, 176), (142, 150, 150), (204, 196, 184),
)  # fmt: skip
GROUNDS: tuple[Colour, ...] = ((108, 108, 110), (92, 90, 90), (126, 122, 116), (78, 80, 84))
PAVEMENTS: tuple[Colour, ...] = (
    (142, 138, 132), (122, 120, 120), (160, 146, 132), (108, 106, 104),
)  # fmt: skip
GRASS: tuple[Colour, ...] = ((96, 112, 58), (120, 118, 70), (82, 100, 52), (132, 116, 84))
LEAVES: tuple[Colour, ...] = (
    (70, 96, 44), (58, 82, 46), (96, 108, 50), (84, 92, 60), (128, 106, 52), (52, 70, 44),
)  # fmt: skip
PAINTS: tuple[Colour, ...] = (
    (38, 40, 44), (70, 72, 76), (128, 130, 132), (176, 178, 180), (214, 214, 210),
    (132, 30, 28), (34, 52, 96), (52, 76, 108), (44, 74, 52), (150, 124, 88), (190, 160, 50),
)  # fmt: skip
LIVERIES: tuple[Colour, ...] = (
    (196, 60, 48), (216, 190, 70), (70, 110, 160), (214, 212, 206), (90, 140, 90), (200, 120, 50),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (36, 38, 44), (58, 62, 72), (52, 66, 96), (96, 90, 84), (140, 132, 120), (150, 48, 44),
    (196, 192, 184), (70, 92, 66), (188, 150, 64), (108, 62, 84), (64, 110, 128),
)  # fmt: skip
SKINS: tuple[Colour, ...] = ((224, 186, 160), (196, 150, 120), (140, 98, 74), (96, 66, 50))
METALS: tuple[Colour, ...] = ((110, 112, 114), (72, 74, 76), (142, 142, 138), (64, 72, 66))


def choose(rng: np.random.Generator, colours: tuple[Colour, ...], amount: int = 16) -> Colour:
    """One of the colours, varied.

    Args:
        rng (np.random.Generator): Source of randomness.
        colours (tuple[Colour, ...]): What to choose from.
        amount (int): Largest change of a channel. Default: 16.

    Returns:
        Colour: RGB, 0 to 255.
    """
    return vary(rng, colours[int(rng.integers(len(colours)))], amount)


def vary(rng: np.random.Generator, colour: Colour, amount: int) -> Colour:
    """The colour, lighter or darker by up to ``amount``, and up to a third of it in hue.

    Args:
        rng (np.random.Generator): Source of randomness.
        colour (Colour): RGB, 0 to 255.
        amount (int): Largest change of the brightness, 0 to 255.

    Returns:
        Colour: RGB, 0 to 255.
    """
    light, *hues = rng.integers(-amount, amount + 1, 4).tolist()
    red, green, blue = (min(255, max(0, c + light + h // 3)) for c, h in zip(colour, hues))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """The colour in more (above 1) or less light.

    Args:
        colour (Colour): RGB, 0 to 255.
        factor (float): From 0.

    Returns:
        Colour: RGB, 0 to 255.
    """
    red, green, blue = (min(255, int(c * factor)) for c in colour)
    return red, green, blue
