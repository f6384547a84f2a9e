"""Colours by numbers: each stands out against the paper, and from every other to all eyes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from scoring.report.palette import DARK, LIGHT, ramp_sheet

# Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color
# Vision Deficiency", severity 1, on linear RGB.
EYES = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
# Ottosson 2020, "A perceptual color space for image processing" (Oklab).
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear(hue: str) -> np.ndarray:
    values = np.array([int(hue[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """As WCAG 2.2 has it."""
    dim, bright = sorted(float(linear(hue) @ [0.2126, 0.7152, 0.0722]) for hue in (one, other))
    return (bright + 0.05) / (dim + 0.05)


def seen(hue: str, eyes: str) -> np.ndarray:
    return TO_LAB @ np.cbrt(TO_CONES @ np.clip(EYES[eyes] @ linear(hue), 0, 1))


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_and_words_stand_out_against_the_paper(palette: Mapping[str, Sequence[str]]) -> None:
    paper = str(palette["paper"])
    drawn = [*palette["series"], str(palette["reference"])]
    assert min(contrast(hue, paper) for hue in drawn) >= 3.0
    assert min(contrast(str(palette[name]), paper) for name in ("ink", "soft")) >= 4.5


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_no_two_colours_look_the_same(palette: Mapping[str, Sequence[str]], eyes: str) -> None:
    """0.02 in Oklab is what the eye just tells apart side by side; lines are thin, and apart."""
    drawn = [seen(hue, eyes) for hue in (*palette["series"], str(palette["reference"]))]
    apart = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(drawn, 2)]
    assert min(apart) >= (0.1 if eyes == "usual" else 0.06)


def test_a_range_of_colours_stands_out_against_the_paper() -> None:
    sheet = ramp_sheet(9, "")
    light, dark = sheet.split("@media", 1)
    for text, palette in ((light, LIGHT), (dark, DARK)):
        hues = re.findall(r"color: (#\w{6})", text)
        assert len(hues) == 9
        assert min(contrast(hue, str(palette["paper"])) for hue in hues) >= 3.0
