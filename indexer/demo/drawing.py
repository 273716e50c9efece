"""One picture: a style, an identity and a shot put together, first as SVG, then as pixels.

The SVG holds no text and no file, and resvg renders it in software, so a picture is the same on every machine.
"""

from __future__ import annotations

import io

import resvg_py
from PIL import Image

from indexer.demo.identity import Identity
from indexer.demo.parts import (
    accessories,
    backgrounds,
    beasts,
    eyes,
    face,
    foreground,
    fringe,
    hair,
    haircuts,
    outfits,
    robots,
    spirits,
    tails,
)
from indexer.demo.parts.canvas import Canvas
from indexer.demo.parts.light import developed
from indexer.demo.parts.stage import CHIN, Stage
from indexer.demo.shot import Shot
from indexer.demo.style import Style

WIDTH = 256
"""Pixels across a picture of the demo world: as many as a page shows, and more than its network looks at."""
SPANS = {"head": 182.0, "bust": 216.0}
"""How many hundredths of a head are seen across, by framing; a figure is always seen whole."""


def draw(style: Style, identity: Identity, shot: Shot, width: int | None = None) -> Image.Image:
    """Return the picture, RGB, in the size of the shot's framing or as wide as asked for: smaller ones take less time.

    The same arguments give the same pixels.
    """
    return developed(render(svg(style, identity, shot), width), style, shot)


def render(drawn: str, width: int | None = None) -> Image.Image:
    """Return what an SVG looks like, RGB, in the size that it states or as wide as asked for."""
    png = resvg_py.svg_to_bytes(svg_string=drawn, skip_system_fonts=True, width=width)
    with Image.open(io.BytesIO(png)) as rendered:
        return rendered.convert("RGB")


def svg(style: Style, identity: Identity, shot: Shot) -> str:
    """Return the drawing as SVG, before light and paper."""
    width, height = shot.size
    scale, x, y = _camera(style, identity, shot)
    canvas = Canvas(style, scale, (height - y) / scale)
    stage = Stage(canvas, identity, shot)
    flip = f"translate({width} 0) scale(-1 1)" if shot.mirrored else "translate(0 0)"
    with canvas.group(f'transform="{flip}"'):
        backgrounds.background(canvas, shot)
        with canvas.group(f'transform="translate({x:.2f} {y:.2f}) scale({scale:.4f})"'):
            _character(stage)
        foreground.occlude(canvas, shot)
    return canvas.svg(width, height)


def _camera(style: Style, identity: Identity, shot: Shot) -> tuple[float, float, float]:
    """Return how many pixels a hundredth of a head is, and where in the picture the middle of the head is."""
    width, height = shot.size
    across, down = width * (0.5 + shot.x), width * shot.y
    if shot.framing == "figure":
        stage = Stage(Canvas(style, 1.0), identity, shot)
        foot = spirits.bottom(stage) if stage.is_spirit else stage.body.foot_y
        above = 122.0 if any(stage.wears(hat) for hat in haircuts.HATS) or not stage.is_human else 90.0
        scale = min(height / (above + foot + 22.0), width / 175.0) * min(1.0, shot.zoom)
        return scale, across * 0.6 + width * 0.2, (height - (foot - above) * scale) / 2
    scale = width / SPANS[shot.framing] * shot.zoom
    level = 0.5 if shot.framing == "head" else 0.37
    return scale, across, height * level + down


def _character(stage: Stage) -> None:
    """Draw the character from back to front."""
    canvas = stage.canvas
    pivot = CHIN * 0.8
    tilted = f'transform="rotate({stage.shot.tilt:.2f} 0 {pivot:.2f})"'
    if stage.is_spirit:
        with canvas.group(tilted):
            _spirit(stage)
        return
    if stage.is_beast:
        beasts.behind(stage)
    outfits.behind(stage)
    with canvas.group(tilted):
        accessories.behind(stage)
        if stage.is_human:
            tails.behind(stage)
            haircuts.behind(stage)
        elif stage.is_beast:
            beasts.ears(stage)
        else:
            robots.behind(stage)
    outfits.dress_up(stage)
    accessories.around_neck(stage)
    with canvas.group(tilted):
        HEADS[stage.is_beast, stage.is_robot](stage)
        accessories.over_hair(stage)


def _human(stage: Stage) -> None:
    cut = haircuts.CUTS[stage.identity.cut]
    if cut.ears or stage.identity.fringe == "up":
        face.ears(stage)
    skull = face.skull(stage)
    if stage.identity.cut == "undercut":
        hair.shaven(stage, skull)
    face.blush(stage)
    if stage.identity.species == "doll":
        spirits.cracks(stage)
    face.nose(stage)
    face.mouth(stage)
    fringe.shadow_on(stage)
    eyes.eyes(stage)
    accessories.on_face(stage)
    hair.cap(stage)
    tails.before(stage)
    eyes.brows(stage)


def _beast(stage: Stage) -> None:
    beasts.head(stage)
    face.blush(stage)
    beasts.muzzle(stage)
    eyes.eyes(stage)
    accessories.on_face(stage)
    beasts.tuft(stage)
    eyes.brows(stage)


def _robot(stage: Stage) -> None:
    robots.head(stage)
    if robots.eyes(stage):
        eyes.eyes(stage)
    accessories.on_face(stage)


def _spirit(stage: Stage) -> None:
    accessories.behind(stage)
    spirits.whole(stage)
    face.blush(stage)
    face.mouth(stage)
    eyes.eyes(stage)
    eyes.brows(stage)
    accessories.on_face(stage)
    accessories.over_hair(stage)


HEADS = {(False, False): _human, (True, False): _beast, (False, True): _robot}
"""What draws the head, by whether it is a beast's and whether it is a robot's."""
