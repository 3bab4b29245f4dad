"""The ten of ImageNet-C-bar in plain NumPy, double precision, one image, step by step.

Written from the definitions in facebookresearch/augmentation-corruption (``imagenet_c_bar``), with
``size`` in place of its image size, for square images. Numbers are typed anew here, so that a
change in the package shows. Images are uint8, (H, W, 3); random numbers are arguments.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

LEVELS = {
    "caustic_refraction": "2.35 3.2 4.9 6.6 9.15",
    "inverse_sparkles": "1 2 4 9 10",
    "sparkles": "1 2 3 5 6",
    "perlin_noise": "4.6 5.2 5.8 7.6 8.8",
    "blue_noise_sample": "0.8 1.6 2.4 4 5.6",
    "plasma_noise": "4.75 7 8.5 9.25 10",
    "checkerboard_cutout": "2 3 4 5 6",
    "cocentric_sine_waves": "3 5 8 9 10",
    "single_frequency_greyscale": "1 1.5 2 4.5 5",
    "brownish_noise": "1 2 3 4 5",
}


def tenths(name: str, severity: int) -> float:
    """Share of a parameter's greatest value."""
    return float(LEVELS[name].split()[severity - 1]) / 10


def grey_levels(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


def grid(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each pixel."""
    rows, columns = np.indices(image.shape[:2])
    return rows.astype(float), columns.astype(float)


def single_frequency_greyscale(
    image: np.ndarray, severity: int, across: float, down: float, phase: float
) -> np.ndarray:
    y, x = grid(image)
    wave = np.sin(x * across + y * down + phase)
    amplitude = tenths("single_frequency_greyscale", severity) * 196
    return grey_levels(image + amplitude * wave[..., None])


def cocentric_sine_waves(
    image: np.ndarray, severity: int, x0: float, y0: float, lobes: float, bulge: float, width: float
) -> np.ndarray:
    y, x = grid(image)
    angle = np.arctan2(x - x0, y - y0) * lobes
    distance = np.sqrt((x - x0) ** 2 + (y - y0) ** 2) + np.sin(angle) * bulge
    ramp = (distance % width) / width - 0.5
    amplitude = tenths("cocentric_sine_waves", severity) * 128
    return grey_levels(image + amplitude * ramp[..., None])


def plasma_noise(
    image: np.ndarray, severity: int, time: float, steps: int, sharpness: float, scale: float
) -> np.ndarray:
    y, x = grid(image)
    x, y = x / scale, y / scale
    frequency, slowness, divisor = 1.0, 1.0, 1.0
    for _ in range(steps):
        a = np.cos(y * frequency + time / slowness) / divisor
        b = np.sin(x * frequency + time / slowness) / divisor
        x, y = x + a - 0.3 * b, y + b + 0.3 * a
        frequency, slowness, divisor = (
            frequency * 1.93,
            slowness * 1.15,
            divisor * (2.25 - sharpness),
        )
    noise = np.stack(
        [np.sin(x - time), np.sin((x + y + np.sin(time)) * 0.5), np.sin(y + time)], axis=-1
    )
    amplitude = tenths("plasma_noise", severity) * 64
    return grey_levels((1 - amplitude / 255) * image + amplitude * noise)


def coloured_noise(phases: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Real part of the inverse transform of coefficients with frequency 0 in the middle."""
    mirrored = np.concatenate((phases, phases[::-1, ::-1]), axis=1)
    coefficients = np.fft.ifftshift(power * np.exp(1j * mirrored))
    noise = np.fft.ifft2(coefficients).real
    return noise / noise.std()


def radius(size: int) -> np.ndarray:
    """Distance of a coefficient from frequency 0, in cycles an image."""
    index = np.arange(size) - size / 2
    return np.hypot(index[:, None], index[None, :])


def blue_noise_sample(image: np.ndarray, severity: int, phases: np.ndarray) -> np.ndarray:
    noise = coloured_noise(phases[0], radius(len(image)))
    threshold = tenths("blue_noise_sample", severity) * 3 - 2.5
    return image * (noise > threshold)[..., None]


def brownish_noise(image: np.ndarray, severity: int, phases: np.ndarray) -> np.ndarray:
    power = 1 / (radius(len(image)) ** 2 + 1)
    noise = np.stack([coloured_noise(channel, power) for channel in phases], axis=-1)
    return grey_levels(image + tenths("brownish_noise", severity) * 64 * noise)


def perlin_noise(
    image: np.ndarray, severity: int, order: np.ndarray, gradients: np.ndarray
) -> np.ndarray:
    cell = 32 * len(image) / 224
    down, across = (place / cell for place in grid(image))
    turbulence = sum(
        np.abs(gradient_noise(f * down, f * across, order, gradients)) / f for f in (1, 2, 4, 8, 16)
    )
    noise = np.clip(0.5 * turbulence + 0.5, 0, 1)
    amount = tenths("perlin_noise", severity) * 0.5
    return grey_levels((1 - amount) * image + 255 * amount * noise[..., None])


def gradient_noise(
    down: np.ndarray, across: np.ndarray, order: np.ndarray, gradients: np.ndarray
) -> np.ndarray:
    row, column = down.astype(int), across.astype(int)
    dy, dx = down - row, across - column

    def corner(below: int, right: int) -> np.ndarray:
        first = order[(row + below) % 256]
        number = order[(first + (column + right) % 256) % 256]
        return gradients[number, 0] * (dy - below) + gradients[number, 1] * (dx - right)

    fade_y, fade_x = dy**2 * (3 - 2 * dy), dx**2 * (3 - 2 * dx)
    left = corner(0, 0) + fade_y * (corner(1, 0) - corner(0, 0))
    right = corner(0, 1) + fade_y * (corner(1, 1) - corner(0, 1))
    return 1.5 * (left + fade_x * (right - left))


def checkerboard_cutout(
    image: np.ndarray, severity: int, angle: float, scale: float, uniform: np.ndarray
) -> np.ndarray:
    """``uniform`` has a number a field; negative fields count from its end."""
    y, x = grid(image)
    across = (np.cos(angle) * y + np.sin(angle) * x) / scale
    along = (-np.sin(angle) * y + np.cos(angle) * x) / scale
    other_colour = (across % 2).astype(int) != (along % 2).astype(int)
    spared = uniform[across.astype(int), along.astype(int)] >= tenths(
        "checkerboard_cutout", severity
    )
    return np.where((other_colour | spared)[..., None], image, np.uint8(128))


def shine(
    image: np.ndarray, y0: float, x0: float, lengths: np.ndarray, exponent: float
) -> np.ndarray:
    """Share of a sparkle's light."""
    y, x = grid(image)
    distance = np.hypot(y - y0, x - x0)
    turn = (np.arctan2(x - x0, y - y0) + np.pi) / (2 * np.pi) * len(lengths)
    number = turn.astype(int)
    fraction = turn - number
    here, following = lengths[number % len(lengths)], lengths[(number + 1) % len(lengths)]
    glow = ((here + fraction * (following - here)) ** 2 / (distance**2 + 1e-4)) ** exponent
    return np.clip((1 - (fraction - 0.5) ** 2) * glow, 0, 1)[..., None]


def sparkles(
    image: np.ndarray, severity: int, centres: list[tuple[float, float, int]], normal: np.ndarray
) -> np.ndarray:
    reach = tenths("sparkles", severity) * 0.1 * len(image)
    values = image.astype(float)
    for (y0, x0, rays), numbers in zip(centres, normal):
        lengths = np.maximum(1, reach + 0.25 * reach * numbers[:rays])
        share = shine(image, y0, x0, lengths, exponent=1.0)
        values = values + share * (255 - values)
    return grey_levels(values)


def inverse_sparkles(
    image: np.ndarray, severity: int, centre: tuple[float, float, int], normal: np.ndarray
) -> np.ndarray:
    y0, x0, rays = centre
    reach = 0.25 * len(image)
    amount = 100 - tenths("inverse_sparkles", severity) * 65
    lengths = reach + 0.25 * reach * normal[:rays]
    share = shine(image, y0, x0, lengths, exponent=(100 - amount) / 50)
    return grey_levels(255 + share * (image - 255.0))


def caustic_refraction(image: np.ndarray, severity: int, time: float, size: float) -> np.ndarray:
    """For images of 224 pixels: the blur and the differences are in pixels."""
    y, x = grid(image)
    caustics = gaussian_filter(ripples(y / size, x / size, time), sigma=1)
    padded = np.pad(caustics, 1)
    west, east = padded[:-2, 1:-1], padded[2:, 1:-1]
    north, south = padded[1:-1, :-2], padded[1:-1, 2:]
    normal = np.stack([east - west, south - north, np.ones_like(y)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    moved = refracted(normal) * tenths("caustic_refraction", severity) * 0.5 * len(image)
    moved = np.round(moved, 3)
    values = bilinear(image / 255.0, y + moved[..., 0], x + moved[..., 1])
    light = tenths("caustic_refraction", severity) * 2 * (north - south + east - west)
    return (np.clip(values + light[..., None], 0, 1) * 255).astype(np.uint8)


def ripples(y: np.ndarray, x: np.ndarray, time: float) -> np.ndarray:
    p = [place % 1 * 2 * np.pi - 250 for place in (y, x)]
    q, total = p, 1.0
    for step in range(1, 6):
        t = time * (1 - 3.5 / step)
        q = [
            p[0] + np.cos(t - q[0]) + np.sin(t + q[1]),
            p[1] + np.sin(t - q[1]) + np.cos(t + q[0]),
        ]
        first, second = p[0] / (np.sin(q[0] + t) / 0.005), p[1] / (np.cos(q[1] + t) / 0.005)
        total = total + 1 / np.sqrt(first**2 + second**2)
    return np.clip(np.abs(1.17 - (total / 5) ** 1.4) ** 8, 0, 1)


def refracted(normal: np.ndarray) -> np.ndarray:
    """Direction of the ray (0, 0, 1) behind a surface of refractive index 4, by its normals."""
    ray = np.broadcast_to([0.0, 0.0, 1.0], normal.shape)
    cosine = normal[..., 2]
    angle = np.arcsin(np.sin(np.arccos(cosine)) / 4)
    spectator = np.cross(ray, normal)
    with np.errstate(invalid="ignore"):
        spectator /= np.linalg.norm(spectator, axis=-1, keepdims=True)
    orthogonal = np.cross(normal, spectator)
    out = np.cos(angle)[..., None] * normal + np.sin(angle)[..., None] * orthogonal
    return np.where((np.abs(cosine) >= 0.999)[..., None], ray, out)


def bilinear(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Samples at places; 0 outside."""
    height, width = image.shape[:2]
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    total = np.zeros_like(image)
    for row in (top, top + 1):
        for column in (left, left + 1):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = inside * (1 - np.abs(y - row)) * (1 - np.abs(x - column))
            total += weight[..., None] * image[row.clip(0, height - 1), column.clip(0, width - 1)]
    return total
