"""Draw the picture of the demo world that README shows: its twelve shows, a row of characters each.

python docs/draw_shows.py docs/demo.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont

from indexer.demo.cast import SHOWS, DrawnShow
from indexer.demo.drawing import draw
from indexer.demo.shot import FRAMINGS, Shot

SIDE, GAP, TITLE, COLUMNS, PEOPLE = 120, 6, 22, 2, 6
PAPER, INK = "#ffffff", "#303038"


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    file = parser.parse_args().file
    rows = -(-len(SHOWS) // COLUMNS)
    width = COLUMNS * (PEOPLE * (SIDE + GAP) + 3 * GAP)
    sheet = Image.new("RGB", (width, rows * (SIDE + TITLE + 2 * GAP) + GAP), PAPER)
    for number, show in enumerate(SHOWS):
        column, row = divmod(number, rows)
        left = column * width // COLUMNS + 2 * GAP
        _row(sheet, show, left, GAP + row * (SIDE + TITLE + 2 * GAP))
    sheet.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


def _row(sheet: Image.Image, show: DrawnShow, left: int, top: int) -> None:
    """Put a show's title and its characters side by side."""
    pen = ImageDraw.Draw(sheet)
    pen.text((left, top), f"{show.title}  ({show.studio}, {show.year})", INK, ImageFont.load_default(14))
    for place, character in enumerate(show.characters[:PEOPLE]):
        dice = Random(f"{show.label}/{character.label}")
        expression = dice.choice(("neutral", "smile", "smile", "grin"))
        shot = Shot(
            expression=expression,
            background=show.style.background,
            turn=dice.uniform(-0.6, 0.6),
            seed=dice.randrange(99),
        )
        wide, high = FRAMINGS["head"]
        picture = draw(show.style, character.identity, shot).resize((SIDE, SIDE * high // wide))
        sheet.paste(picture, (left + place * (SIDE + GAP), top + TITLE))


if __name__ == "__main__":
    main()
