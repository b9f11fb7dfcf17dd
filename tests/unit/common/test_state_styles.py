"""How states look: marks can be read on their fill, in light and dark pages."""

from __future__ import annotations

import pytest

from rain.common.state_styles import LOOKS, PLACES, Look

CONTRAST_MIN = 4.5
"""Of small letters (Web Content Accessibility Guidelines, level AA)."""
WHITE, NIGHT = "#ffffff", "#111111"


def luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_the_guidelines_say() -> None:
    assert contrast("#000000", WHITE) == pytest.approx(21)
    assert contrast("#767676", WHITE) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("look", [*LOOKS.values(), *PLACES.values()], ids=[*LOOKS, *PLACES])
def test_marks_can_be_read(look: Look) -> None:
    for line, fill, ground in ((look.line, look.fill, WHITE), (look.dark_line, look.dark_fill, NIGHT)):
        assert contrast(line, fill) >= CONTRAST_MIN
        assert contrast(line, ground) >= CONTRAST_MIN


@pytest.mark.parametrize("look", [*LOOKS.values(), *PLACES.values()], ids=[*LOOKS, *PLACES])
def test_names_can_be_read(look: Look) -> None:
    assert contrast("#212121", look.fill) >= CONTRAST_MIN
    assert contrast("#e0e0e0", look.dark_fill) >= CONTRAST_MIN
