"""What happens to a drawing after it is drawn: the light of the shot, and the paper of the show. Works on pixels."""

from __future__ import annotations

import random
from typing import Final

from PIL import Image, ImageChops

from indexer.demo.parts.colour import Colour, through
from indexer.demo.shot import Shot
from indexer.demo.style import Style

DUSK: Final = Colour(0.32, 0.12, 290.0)
GOLD: Final = Colour(0.75, 0.14, 55.0)
"""The colours of an evening, above and below."""
GRAINS: Final = 15.0
"""How much brighter or darker the coarsest paper makes a pixel, of 255."""


def developed(picture: Image.Image, style: Style, shot: Shot) -> Image.Image:
    """Return an RGB picture in the light of the shot and on the paper of the show."""
    picture = _dusk(picture, shot.evening) if shot.evening else picture
    picture = _glowing(picture, style, shot) if style.glow else picture
    factors = [shot.brightness * (1 - shot.tinted * (1 - channel / 255)) for channel in _rgb(shot.tint)]
    if any(factor != 1 for factor in factors):
        picture = picture.point([min(255, int(value * factor + 0.5)) for factor in factors for value in range(256)])
    return _grainy(picture, style.grain, shot.seed) if style.grain else picture


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.hex[1:])
    return red, green, blue


def _dusk(picture: Image.Image, strength: float) -> Image.Image:
    """Darken a picture from above and gild it from below."""
    above = (
        Image.linear_gradient("L")
        .resize(picture.size)
        .point([int((255 - value) * 0.7 * strength) for value in range(256)])
    )
    picture = Image.composite(Image.new("RGB", picture.size, _rgb(DUSK)), picture, above)
    return Image.blend(picture, Image.new("RGB", picture.size, _rgb(GOLD)), 0.22 * strength)


def _glowing(picture: Image.Image, style: Style, shot: Shot) -> Image.Image:
    """Let the light wash out the corner that it comes from."""
    width, height = picture.size
    from_left = (style.light <= 0) != shot.mirrored
    size = int(width * 1.8)
    spot = (
        Image.radial_gradient("L")
        .resize((size, size))
        .point([int(max(0, 200 - value * 1.3) * 0.8 * style.glow) for value in range(256)])
    )
    mask = Image.new("L", picture.size, 0)
    mask.paste(spot, ((0 if from_left else width) - size // 2, int(height * 0.06) - size // 2))
    return Image.composite(
        Image.new("RGB", picture.size, _rgb(through(style, Colour(0.97, 0.04, 85.0)))), picture, mask
    )


def _grainy(picture: Image.Image, strength: float, seed: int) -> Image.Image:
    """Lay the fibres of paper over a picture, the same for the same seed."""
    dice = random.Random(f"{seed} grain")  # noqa: S311  # dice for drawing, not for secrets
    noise = Image.frombytes("L", picture.size, dice.randbytes(picture.width * picture.height))
    middle = int(GRAINS * strength)
    fibres = noise.point([value * 2 * middle // 255 for value in range(256)])
    return ImageChops.add(picture, Image.merge("RGB", (fibres, fibres, fibres)), 1, -middle)
