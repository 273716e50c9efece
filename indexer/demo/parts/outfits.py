"""What characters wear: which outfit is drawn by what, and what of it is seen behind the body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from indexer.demo.parts import costumes, uniforms
from indexer.demo.parts.path import smooth
from indexer.demo.parts.stage import Stage


def dress_up(stage: Stage) -> None:
    """Draw the body from the neck down in its outfit."""
    OUTFITS[stage.identity.outfit](stage)


def behind(stage: Stage) -> None:
    """Draw what of an outfit is seen behind the body: a cape."""
    if stage.identity.outfit != "cape":
        return
    body, colour = stage.body, stage.colours[0]
    low, wide = body.hip_y + (body.foot_y - body.hip_y) * 0.62, body.shoulder * 1.5
    drawn = smooth(
        [
            (-body.shoulder * 0.8, body.shoulder_y + 2),
            (body.shoulder * 0.8, body.shoulder_y + 2),
            (wide, low * 0.7),
            (wide * 1.12, low),
            (wide * 0.4, low - 7),
            (0, low + 3),
            (-wide * 0.45, low - 6),
            (-wide * 1.12, low),
            (-wide, low * 0.7),
        ]
    )
    stage.canvas.shape(drawn, stage.canvas.shade(colour).darker(0.06), depth=7.0)


OUTFITS: Final[dict[str, Callable[[Stage], None]]] = {
    "sailor": uniforms.sailor,
    "gakuran": uniforms.gakuran,
    "hoodie": uniforms.hoodie,
    "kimono": costumes.kimono,
    "blazer": uniforms.blazer,
    "armour": costumes.armour,
    "lab-coat": costumes.lab_coat,
    "cape": costumes.cape,
    "dress": costumes.dress,
    "track-suit": uniforms.track_suit,
    "overalls": costumes.overalls,
    "military": uniforms.military,
    "shrine": costumes.shrine,
    "vest": uniforms.vest,
    "t-shirt": uniforms.t_shirt,
}
