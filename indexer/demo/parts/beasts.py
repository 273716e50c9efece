"""Heads and tails of beasts that go upright: foxes, wolves, bears, rabbits, cats, dragons, birds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from indexer.demo.parts.colour import WHITE, Colour
from indexer.demo.parts.path import limb, lock, oval, pair, path, polygon, smooth, stroke
from indexer.demo.parts.stage import SIDES, Stage


@dataclass(frozen=True, slots=True)
class Build:
    """What kind of ears, muzzle and tail a beast has, how wide its cheeks are, and whether fur stands off them."""

    ears: str
    muzzle: str
    tail: str
    cheeks: float = 1.0
    furry: bool = True


BUILDS: Final = {
    "fox": Build("pointed", "snout", "brush", 1.12),
    "wolf": Build("pointed", "snout", "brush", 1.06),
    "bear": Build("round", "short", "stub", 1.12, furry=False),
    "rabbit": Build("long", "short", "stub", 1.06, furry=False),
    "cat": Build("pointed", "short", "thin", 1.14),
    "dragon": Build("horns", "scaly", "scaly", 1.0, furry=False),
    "bird": Build("crest", "beak", "feathers", 1.04, furry=False),
}


def behind(stage: Stage) -> None:
    """Draw the tail, behind the body."""
    build, body, canvas = BUILDS[stage.identity.species], stage.body, stage.canvas
    way = 1 if stage.identity.seed % 2 else -1
    x, y = way * body.hip * 0.4, body.hip_y
    far, thick = way * (body.hip + 46), body.leg
    if build.tail == "brush":
        drawn = path(
            "M",
            (x, y - 6),
            "C",
            (far * 0.8, y + 34),
            (far * 0.9, y - 20),
            (far, y - 62),
            "C",
            (far + way * 26, y - 26),
            (far + way * 16, y + 42),
            (x, y + 16),
            "Z",
        )
        canvas.shape(drawn, stage.skin, depth=5)
        with canvas.within(drawn):
            tip = smooth(
                [
                    (far - way * 30, y - 36),
                    (far - way * 6, y - 28),
                    (far - way * 4, y - 40),
                    (far + way * 12, y - 26),
                    (far + way * 30, y - 34),
                    (far, y - 80),
                ],
                tension=0.6,
            )
            canvas.detail(tip, _belly(stage), 0.7)
        canvas.stroke(drawn, canvas.ink(stage.skin), canvas.line)
    elif build.tail == "stub":
        canvas.shape(oval(way * body.hip * 0.95, y + 2, thick * 1.2, thick * 1.2), stage.skin, depth=3)
    elif build.tail == "thin":
        points = [(x, y), (far * 0.8, y + 22), (far, y - 10), (far * 0.94, y - 44), (far * 1.1, y - 62)]
        canvas.shape(limb(points, [thick * 0.5] * 4 + [thick * 0.36]), stage.skin, depth=3)
    elif build.tail == "scaly":
        points = [(x, y), (far * 0.7, y + 40), (far * 1.05, y + 48), (far * 1.35, y + 14)]
        canvas.shape(limb(points, [thick * 1.3, thick * 1.0, thick * 0.7, thick * 0.1]), stage.skin, depth=4)
        end = points[-1]
        canvas.shape(
            polygon([(end[0] - 9, end[1] + 4), (end[0] + way * 4, end[1] - 20), (end[0] + 9, end[1] + 4)]),
            stage.hair,
            depth=2,
        )
    else:
        for step in range(3):
            canvas.shape(
                limb([(x, y), (x + way * 24, y + 26 + 8 * step), (x + way * (34 - 12 * step), y + 62)], [5, 9, 3]),
                (stage.skin, stage.hair, stage.skin)[step],
                depth=3,
            )


def ears(stage: Stage) -> None:
    """Draw ears, horns or crest: behind the head, upon it."""
    build, face, canvas = BUILDS[stage.identity.species], stage.face, stage.canvas
    inner = stage.skin.toward(Colour(0.72, 0.12, 15), 0.55)
    wide = face.width * build.cheeks
    for way in SIDES:
        x, y, turn = way * wide * 0.62 + face.middle * 0.4, -34.0, 1 - 0.2 * max(0.0, way * face.turn)
        if build.ears == "pointed":
            high = 52.0 if stage.identity.species == "fox" else 42.0
            for size, colour in ((1.0, stage.skin), (0.6, inner)):
                tip = (x + way * 15 * turn, y - high * (0.35 + 0.65 * size))
                drawn = path(
                    "M",
                    (x - way * 17 * size, y + 2),
                    "Q",
                    (x - way * 4 * size, y - high * size * 0.75),
                    tip,
                    "Q",
                    (x + way * 27 * size, y - high * 0.3 * size),
                    (x + way * 20 * size, y + 22 * size),
                    "Z",
                )
                canvas.shape(drawn, colour, depth=3)
        elif build.ears == "round":
            canvas.shape(oval(x + way * 4, y - 12, 15.5 * turn, 15.5), stage.skin, depth=3)
            canvas.detail(oval(x + way * 4, y - 11, 8.5 * turn, 8.5), inner)
        elif build.ears == "long":
            lean = way * (10 + (14 if way * (stage.identity.seed % 2 * 2 - 1) > 0 else 0))
            for size, colour in ((1.0, stage.skin), (0.55, inner)):
                drawn = smooth(
                    [
                        (x - way * 4 - 10 * size, y + 6),
                        (x - way * 4 + lean * 0.5 - 13 * size, y - 34 * size - 8),
                        (x - way * 4 + lean, y - 70 * (0.3 + 0.7 * size)),
                        (x - way * 4 + lean * 0.5 + 13 * size, y - 34 * size - 8),
                        (x - way * 4 + 10 * size, y + 6),
                    ]
                )
                canvas.shape(drawn, colour, depth=3)
        elif build.ears == "horns":
            horn = path(
                "M",
                (x - way * 9, y + 2),
                "C",
                (x + way * 2, y - 16),
                (x + way * 8, y - 22),
                (x + way * 4, y - 42),
                "C",
                (x + way * 22, y - 32),
                (x + way * 22, y - 10),
                (x + way * 11, y + 10),
                "Z",
            )
            canvas.shape(horn, Colour(0.9, 0.03, 85), depth=3)
            fin = polygon(
                [
                    (way * wide * 0.9, 0),
                    (way * wide * 1.42, -16),
                    (way * wide * 1.24, 4),
                    (way * wide * 1.46, 12),
                    (way * wide * 1.14, 18),
                    (way * wide * 0.9, 26),
                ]
            )
            canvas.shape(fin, stage.hair, depth=3)
    if build.ears == "crest":
        for step in range(4):
            slope = (step - 1.5) * 13 + face.middle * 0.5
            canvas.shape(
                limb([(slope * 0.5, -40), (slope, -62), (slope * 1.7, -82 + abs(step - 1.5) * 8)], [7, 6.5, 1.0]),
                (stage.hair, stage.tips)[step % 2],
                depth=2,
            )


def head(stage: Stage) -> str:
    """Draw the head with its patches but for eyes and muzzle, and return its outline."""
    build, face, canvas = BUILDS[stage.identity.species], stage.face, stage.canvas
    drawn = _outline(stage)
    canvas.shape(drawn, stage.skin, depth=5)
    x, belly = face.middle, _belly(stage)
    if build.muzzle in ("snout", "short") and stage.identity.species != "bear":
        for way in SIDES:
            patch = [
                (x * 1.1, 18),
                (x + way * face.width * 0.5, 24),
                (way * face.width * 0.98, 18),
                (way * face.width * 0.8 + x * 0.2, 36),
                (x * 0.8 + way * 9, 48),
                (x, 48),
            ]
            canvas.fill(smooth(patch), belly)
    _markings(stage)
    canvas.stroke(drawn, canvas.ink(stage.skin), canvas.line)
    return drawn


BLAZED, STRIPED, PATCHED = range(3)
"""Markings; of four beasts one has none."""


def _markings(stage: Stage) -> None:
    """Draw what tells two of a species apart: a blaze, stripes, spots, or nothing."""
    face, canvas, kind = stage.face, stage.canvas, stage.identity.seed % 4
    x, mark = face.middle * 0.8, stage.hair
    if kind == BLAZED:
        canvas.fill(polygon([(x - 9, -50.5), (x + 9, -50.5), (x + 3, 0), (x * 1.2, 18), (x - 3, 0)]), mark)
    elif kind == STRIPED:
        for step in (-1, 0, 1):
            canvas.fill(stroke((x + step * 11, -60), (x + step * 10, -40), (x + step * 7, -18), 3.2), mark)
        for way in SIDES:
            for low in (18, 28):
                canvas.fill(
                    stroke(
                        (way * face.width * 1.2, low),
                        (way * face.width * 0.9, low + 3),
                        (way * face.width * 0.62, low + 2),
                        2,
                    ),
                    mark,
                )
    elif kind == PATCHED:
        canvas.fill(oval(face.eye_x[1], face.eye_y - 2, face.eye_width * 1.5, max(14.0, face.eye_height * 1.35)), mark)


def _outline(stage: Stage) -> str:
    build, face = BUILDS[stage.identity.species], stage.face
    wide, x = face.width * build.cheeks, face.middle * 0.8
    top = f"M{pair((-wide, 0))}C{pair((-wide, -70))} {pair((wide, -70))} {pair((wide, 0))}"
    if not build.furry:
        chin = 44 + 8 * stage.style.chin
        return top + path(
            "C",
            (wide * 1.02, 26),
            (wide * 0.62 + x, chin + 2),
            (x, chin + 1),
            "C",
            (-wide * 0.62 + x, chin + 2),
            (-wide * 1.02, 26),
            (-wide, 0),
            "Z",
        )
    blunt = max(0.0, 0.6 * (1 - stage.style.sharpness) - 0.05)
    right = [
        ((wide * 1.22, 15), (wide * 0.99, 19)),
        ((wide * 1.18, 29), (wide * 0.84, 31)),
        ((wide * 0.96, 43), (wide * 0.5 + x * 0.5, 44)),
    ]
    drawn, before = top, (wide, 0.0)
    for tip, valley in right:
        drawn += lock(before, tip, valley, -0.08, blunt)
        before = valley
    drawn += path("Q", (wide * 0.3 + x, 51), (x, 52), "Q", (-wide * 0.3 + x, 51), (-wide * 0.5 + x * 0.5, 44))
    left = [((-tip[0], tip[1]), (-valley[0], valley[1])) for tip, valley in right]
    before = (-wide * 0.5 + x * 0.5, 44.0)
    for index in (2, 1, 0):
        after = left[index - 1][1] if index else (-wide, 0.0)
        drawn += lock(before, left[index][0], after, -0.08, blunt)
        before = after
    return drawn + "Z"


def muzzle(stage: Stage) -> None:
    """Draw muzzle or beak with nose and mouth."""
    build, face, canvas = BUILDS[stage.identity.species], stage.face, stage.canvas
    x, y = face.middle * 1.7, 31.0
    if build.muzzle == "beak":
        _beak(stage)
        return
    size = {"snout": (15.0, 14.0), "short": (13.5, 10.0), "scaly": (19.0, 13.0)}[build.muzzle]
    colour = stage.skin if build.muzzle == "scaly" else _belly(stage)
    if stage.identity.species in ("cat", "rabbit"):
        canvas.fill(oval(x, y + 4, *size), colour)
    else:
        canvas.shape(
            smooth(
                [
                    (x, y - size[1]),
                    (x + size[0] * 0.75, y - size[1] * 0.5),
                    (x + size[0], y + size[1] * 0.6),
                    (x, y + size[1] * 1.25),
                    (x - size[0], y + size[1] * 0.6),
                    (x - size[0] * 0.75, y - size[1] * 0.5),
                ]
            ),
            colour,
            depth=3,
            line=0.8,
        )
    ink = canvas.ink(stage.skin)
    if build.muzzle == "scaly":
        for way in SIDES:
            canvas.fill(oval(x + way * 5.5, y - 5, 1.7, 2.4), ink)
        nose_y = y - 6
    else:
        nose_y = y - size[1] * (0.62 if build.muzzle == "snout" else 0.4)
        canvas.fill(
            smooth([(x - 5, nose_y - 2), (x, nose_y - 3.6), (x + 5, nose_y - 2), (x, nose_y + 4.2)], tension=0.8),
            stage.dark,
        )
        canvas.fill(oval(x - 1.6, nose_y - 1.6, 1.5, 0.8), WHITE, 0.7)
        canvas.stroke(f"M{pair((x, nose_y + 4))}v4", ink, canvas.line * 0.7)
    _jaw(stage, x, nose_y + 8.5, size[0])
    if stage.identity.species == "cat":
        for way in SIDES:
            for step in (-1, 1):
                canvas.fill(
                    stroke(
                        (x + way * 15, y + 4 + step * 2),
                        (x + way * 28, y + 2 + step * 4),
                        (x + way * 42, y + 3 + step * 7),
                        0.5,
                    ),
                    ink,
                )


def _jaw(stage: Stage, x: float, y: float, wide: float) -> None:
    """Draw the mouth below the nose, open or shut as the expression has it."""
    canvas, expression = stage.canvas, stage.shot.expression
    ink = canvas.ink(stage.skin)
    if expression in ("grin", "closed", "surprised", "wink"):
        deep = 9.0 if expression == "surprised" else 11.0
        half = wide * (0.3 if expression == "surprised" else 0.55)
        mouth = path(
            "M",
            (x - half, y - 1),
            "Q",
            (x, y + 2),
            (x + half, y - 1),
            "C",
            (x + half * 0.7, y + deep),
            (x - half * 0.7, y + deep),
            (x - half, y - 1),
            "Z",
        )
        canvas.fill(mouth, Colour(0.36, 0.11, 20))
        with canvas.within(mouth):
            canvas.fill(oval(x, y + deep * 0.8, half * 0.6, deep * 0.4), Colour(0.68, 0.14, 15))
        canvas.stroke(mouth, ink, canvas.line * 0.7)
    bend = {"angry": -2.5, "sad": -3.0}.get(expression, 2.5)
    for way in SIDES:
        canvas.stroke(
            path("M", (x, y - 0.5), "Q", (x + way * wide * 0.3, y + bend), (x + way * wide * 0.62, y - bend * 0.7)),
            ink,
            0.5 + canvas.line * 0.6,
        )
    if expression in ("angry", "grin") and stage.identity.species in ("wolf", "dragon", "fox", "cat"):
        for way in SIDES:
            at = x + way * wide * 0.34
            canvas.detail(polygon([(at - 2, y), (at + 2, y), (at, y + 5)]), stage.white, 0.5)


def _beak(stage: Stage) -> None:
    canvas, face = stage.canvas, stage.face
    x, gold = face.middle * 1.5, Colour(0.8, 0.15, 75)
    is_open = stage.shot.expression in ("grin", "surprised", "closed", "angry")
    lean = face.turn * 12
    if is_open:
        canvas.shape(smooth([(x - 8, 33), (x + 8, 33), (x + lean * 0.6, 46)], tension=0.6), gold.darker(0.16), depth=1)
    upper = path(
        "M",
        (x - 12, 28),
        "Q",
        (x - 6, 20),
        (x, 18),
        "Q",
        (x + 6, 20),
        (x + 12, 28),
        "Q",
        (x + 8 + lean * 0.4, 33),
        (x + lean, 42 if not is_open else 37),
        "Q",
        (x - 8 + lean * 0.4, 33),
        (x - 12, 28),
        "Z",
    )
    canvas.shape(upper, gold, depth=3)
    for way in SIDES:
        canvas.fill(oval(x + way * 3, 24, 0.9, 1.4), canvas.ink(gold))


def tuft(stage: Stage) -> None:
    """Draw the tuft of hair or feathers on the forehead."""
    if stage.identity.species in ("bird", "dragon") or stage.identity.fringe in ("up", "curtain"):
        return
    canvas, x = stage.canvas, stage.face.middle * 0.6
    blunt = max(0.0, 0.8 * (1 - stage.style.sharpness) - 0.08)
    start = (x + 15, -46.0)
    drawn, before = f"M{pair(start)}", start
    for tip, valley in (((x + 19, -21), (x + 7, -32)), ((x + 1, -15), (x - 5, -32)), ((x - 15, -20), (x - 15, -46))):
        drawn += lock(before, tip, valley, 0.14, blunt)
        before = valley
    drawn += (
        lock(before, (x - 9, -70), (x - 1, -58), -0.1, blunt)
        + lock((x - 1, -58), (x + 9, -72), start, -0.1, blunt)
        + "Z"
    )
    canvas.shape(drawn, stage.hair, depth=3)


def _belly(stage: Stage) -> Colour:
    """Return the colour of the lighter fur of muzzle, cheeks and tail."""
    return stage.skin.toward(stage.white, 0.78)
