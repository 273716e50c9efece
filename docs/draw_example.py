"""Draw a small library of made-up characters, to try Sokkuri without any pictures of one's own.

    python docs/draw_example.py FOLDER [--question FILE]

Three shows, each with its own way of drawing; three characters in each; sixteen pictures of each character, no two
alike. The question is one more picture, which the library does not hold: README shows the answer to it.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageOps

SCALE = 2
"""Everything is drawn at twice its size and reduced, which smooths the lines."""
SIDE = 320
PICTURES = 16

Place = tuple[float, float, float, int]
"""Middle (x, y) and radius of a face, and the width of its lines, in pixels."""


@dataclass(frozen=True)
class Style:
    """How a show is drawn: line width, eye height, face shape, shading, and the paper behind."""

    title: str
    year: int
    line: int
    eye: float
    chin: float
    ink: str
    shadow: int
    papers: tuple[str, ...]


@dataclass(frozen=True)
class Identity:
    """What a character looks like in any picture."""

    name: str
    type: str
    skin: str
    hair: str
    iris: str
    fringe: int
    length: float
    ears: bool = False


STYLES = {
    "harbour-lights": Style("Harbour Lights", 2004, 3, 0.24, 0.30, "#2b2330", 26, ("#cfe3f1", "#f6e7d2", "#dfe9d8")),
    "iron-orchard": Style("Iron Orchard", 1997, 7, 0.15, 0.16, "#141414", 70, ("#b9a88f", "#8d98a3", "#c4b7a6")),
    "paper-moon-club": Style("Paper Moon Club", 2019, 2, 0.31, 0.40, "#7a4a63", 0, ("#fdeef4", "#eaf6fb", "#fff7dc")),
}
IDENTITIES = {
    "harbour-lights": (
        Identity("Minato Sora", "male", "#f3d3b8", "#35507a", "#3f7fb5", 4, 0.35),
        Identity("Amane Rika", "female", "#f8dcc6", "#b5533c", "#6b9a4a", 6, 1.05),
        Identity("Kelpie", "non-human", "#bfe0d2", "#2f8f83", "#e0b64a", 3, 0.75, ears=True),
    ),
    "iron-orchard": (
        Identity("Garrick", "male", "#d9a982", "#2a2422", "#7c5a2e", 3, 0.25),
        Identity("Odile", "female", "#e7c0a0", "#d8d3c8", "#8a2f2f", 5, 0.85),
        Identity("Unit Nine", "non-human", "#9aa7b1", "#5d6a75", "#d9472b", 2, 0.15, ears=True),
    ),
    "paper-moon-club": (
        Identity("Yuzu", "female", "#ffe6d8", "#f2c14e", "#b65fa0", 7, 0.95),
        Identity("Haru", "male", "#fde0cf", "#8fb8de", "#4d6fb0", 5, 0.40),
        Identity("Mochi", "non-human", "#fff4ec", "#f4a6b8", "#6a5acd", 4, 0.60, ears=True),
    ),
}


def draw(style: Style, who: Identity, dice: random.Random) -> Image.Image:
    """Draw one picture: the same face, another place, size, turn, look and light."""
    side = SIDE * SCALE
    picture = Image.new("RGB", (side, side), dice.choice(style.papers))
    pen = ImageDraw.Draw(picture)
    for _ in range(5):
        _blob(pen, dice.random() * side, dice.random() * side, dice.uniform(20, 120), dice.choice(style.papers))
    radius = side * dice.uniform(0.15, 0.36)
    x, y = side * dice.uniform(0.36, 0.64), side * dice.uniform(0.40, 0.56)
    width = style.line * SCALE
    turn = dice.uniform(-0.25, 0.25) * radius
    _hair_behind(pen, style, who, (x, y, radius, width))
    pen.rounded_rectangle((x - radius, y + radius * 1.25, x + radius, side + 60), 60, who.iris, style.ink, width)
    face = [
        (x + radius * math.cos(angle), y + radius * math.sin(angle) * (1 + style.chin * max(0.0, math.sin(angle)) ** 3))
        for angle in (step * math.tau / 60 for step in range(60))
    ]
    pen.polygon(face, who.skin)
    if style.shadow:
        shade = Image.new("L", picture.size, 0)
        ImageDraw.Draw(shade).polygon([(px + radius * 0.9, py) for px, py in face], style.shadow)
        mask = Image.new("L", picture.size, 0)
        ImageDraw.Draw(mask).polygon(face, 255)
        picture.paste(Image.new("RGB", picture.size, style.ink), mask=ImageChops.multiply(shade, mask))
    pen.line([*face, face[0], face[1]], style.ink, width, joint="curve")
    _features(pen, style, who, (x + turn, y, radius, width), dice)
    _fringe(pen, style, who, (x, y, radius, width))
    return _shot(picture, dice)


def _shot(picture: Image.Image, dice: random.Random) -> Image.Image:
    """Tilt and mirror the drawing, put it into another light, and let something stand in front of it now and then."""
    paper = picture.getpixel((2, 2))
    picture = picture.rotate(dice.uniform(-22, 22), Image.Resampling.BICUBIC, fillcolor=paper)
    if dice.random() < 0.5:
        picture = ImageOps.mirror(picture)
    light = Image.new("RGB", picture.size, dice.choice(("#ffd9a0", "#a9c4ff", "#ffffff", "#ffb3c1", "#b8f0c8")))
    picture = Image.blend(picture, ImageChops.multiply(picture, light), dice.uniform(0.0, 0.8))
    picture = ImageEnhance.Brightness(picture).enhance(dice.uniform(0.75, 1.1))
    if dice.random() < 0.4:
        pen, side = ImageDraw.Draw(picture), picture.width
        x, y = dice.choice((0, side)), dice.choice((0, side))
        _blob(pen, x, y, side * dice.uniform(0.15, 0.33), dice.choice(("#ffffff", "#333333", "#7fb069", "#e6aa68")))
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _blob(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: str) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _hair_behind(pen: ImageDraw.ImageDraw, style: Style, who: Identity, place: Place) -> None:
    """Draw ears and the hair behind the face."""
    x, y, radius, width = place
    if who.ears:
        for way in (-1, 1):
            tip = (x + way * radius * 1.05, y - radius * 1.75)
            ear = [(x + way * radius * 0.25, y - radius), tip, (x + way * radius * 1.05, y - radius * 0.4)]
            pen.polygon(ear, who.hair)
            pen.line(ear, style.ink, width)
    below = y + radius * (0.4 + who.length)
    box = (x - radius * 1.18, y - radius * 1.2, x + radius * 1.18, below)
    pen.rounded_rectangle(box, radius, who.hair, style.ink, width)


def _features(pen: ImageDraw.ImageDraw, style: Style, who: Identity, place: Place, dice: random.Random) -> None:
    """Draw eyes, brows and mouth; now and then the eyes are closed."""
    x, y, radius, width = place
    tall, wide = radius * style.eye * 1.4, radius * 0.2
    closed = dice.random() < 0.15
    for way in (-1, 1):
        eye = x + way * radius * 0.42
        box = (eye - wide, y - tall * 0.6, eye + wide, y + tall)
        if closed:
            pen.arc(box, 200, 340, style.ink, width * 2)
        else:
            pen.ellipse(box, "white", style.ink, width)
            inner = (eye - wide * 0.7, y - tall * 0.45, eye + wide * 0.7, y + tall * 0.95)
            pen.ellipse(inner, who.iris)
            _blob(pen, eye, y + tall * 0.25, wide * 0.35, style.ink)
            _blob(pen, eye - wide * 0.25, y - tall * 0.1, wide * 0.24, "white")
        brow = y - tall * 1.15 + dice.uniform(-4, 4)
        pen.line((eye - wide, brow + way * 4, eye + wide, brow - way * 4), style.ink, width)
    smile = dice.uniform(0.08, 0.22) * radius
    mouth = (x - radius * 0.2, y + radius * 0.62 - smile, x + radius * 0.2, y + radius * 0.62 + smile)
    pen.arc(mouth, 20, 160, style.ink, width)


def _fringe(pen: ImageDraw.ImageDraw, style: Style, who: Identity, place: Place) -> None:
    """Draw the hair over the forehead in so many strands."""
    x, y, radius, width = place
    edge = [(x - radius * 1.12, y - radius * 0.1), (x - radius * 1.0, y - radius * 0.95), (x, y - radius * 1.3)]
    edge += [(x + radius * 1.0, y - radius * 0.95), (x + radius * 1.12, y - radius * 0.1)]
    for strand in range(2 * who.fringe - 1):
        across = x + radius * (1.0 - 2.0 * (strand + 1) / (2 * who.fringe))
        edge.append((across, y - radius * (0.62 if strand % 2 == 0 else 0.28)))
    pen.polygon(edge, who.hair)
    pen.line([*edge, edge[0]], style.ink, width, joint="curve")


def main() -> None:
    """Draw the library into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Draw a small library of made-up characters.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--question", type=Path, help="Also draw one picture that is not in the library.")
    arguments = parser.parse_args()
    folder = arguments.folder
    with _table(folder, "shows.csv") as shows, _table(folder, "characters.csv") as characters:
        csv.writer(shows).writerows([("show", "title", "year"), *((s, v.title, v.year) for s, v in STYLES.items())])
        write = csv.writer(characters).writerow
        write(("show", "character", "name", "type"))
        for show, style in STYLES.items():
            for who in IDENTITIES[show]:
                slug = who.name.lower().replace(" ", "-")
                write((show, slug, who.name, who.type))
                (folder / show / slug).mkdir(parents=True, exist_ok=True)
                for number in range(PICTURES):
                    dice = random.Random(f"{show}/{slug}/{number}")
                    draw(style, who, dice).save(folder / show / slug / f"{number:02}.png")
    if arguments.question:
        show = "paper-moon-club"
        draw(STYLES[show], IDENTITIES[show][0], random.Random("question")).save(arguments.question)
    print(f"drawn: {PICTURES * sum(map(len, IDENTITIES.values()))} pictures; now `make run LIBRARY={folder}`")


def _table(folder: Path, name: str) -> TextIO:
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / name).open("w", encoding="utf-8", newline="")


if __name__ == "__main__":
    main()
