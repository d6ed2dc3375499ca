"""Colours for amounts: ramps whose lightness only falls (on white) or only rises (on black), so that more is always further from the page.

Told apart by lightness alone they serve the colour-blind, and a print without colour. Mixed in Oklab, where equal steps look equal:
Ottosson 2020, https://bottosson.github.io/posts/oklab/
"""

from __future__ import annotations

import numpy as np

STEPS = 256

RAMPS = {
    "blue": ("#f3f6fa", "#cde1f0", "#8dbfdf", "#4793c8", "#1c65a8", "#0b3d7c", "#05204c"),
    "blue on black": ("#1a1f27", "#1f3a5c", "#256a96", "#3f9cbf", "#86cdd3", "#d3efd9", "#fbfbe0"),
    "orange": ("#fdf9f2", "#fce4bf", "#f8bd79", "#e88a46", "#c4551f", "#8b2d10", "#521407"),
    "orange on black": ("#211e1c", "#4a2f1c", "#86491c", "#c26b27", "#ea9f52", "#f7cf98", "#fff3df"),
}

_TO_CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]]
)
_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660]]
)


def ramp(name: str) -> np.ndarray:
    """(256, 3) uint8 colours of a ramp, from nothing to all."""
    stops = oklab(np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in RAMPS[name]]))
    places = np.linspace(0, len(stops) - 1, STEPS)
    mixed = np.stack([np.interp(places, np.arange(len(stops)), stops[:, i]) for i in range(3)], 1)
    linear = np.clip((np.linalg.inv(_TO_LAB) @ mixed.T) ** 3, 0, None)
    linear = np.clip(np.linalg.inv(_TO_CONES) @ linear, 0, 1).T
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(srgb * 255).astype(np.uint8)


def oklab(colours: np.ndarray) -> np.ndarray:
    """(n, 3) sRGB from 0 to 255 -> (n, 3) lightness from 0 to 1, and two axes of colour."""
    srgb = np.asarray(colours) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T


def shade(weights: np.ndarray) -> np.ndarray:
    """Weights from 0 to 1 -> steps of a ramp, uint8: the square root, because most weights of a long text are small and still matter."""
    return np.round(np.sqrt(np.clip(weights, 0, 1)) * (STEPS - 1)).astype(np.uint8)
