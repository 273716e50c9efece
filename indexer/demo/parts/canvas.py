"""An SVG in the making, with the pen and the shading of a style. What is drawn is the caller's business."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from indexer.demo.parts.colour import BLACK, WHITE, Colour
from indexer.demo.parts.relief import Relief, hatched
from indexer.demo.style import Style

INKS: Final = {"black": BLACK, "brown": Colour(0.33, 0.06, 45.0), "indigo": Colour(0.33, 0.1, 285.0)}
"""The colours of the pen that are the same on whatever it outlines; "own" is a darker shade of what it outlines."""
VISIBLE: Final = 0.9
"""Shades narrower than this, in pixels, are left out."""
TONED: Final = 5.0
"""Shades narrower than this, in pixels, have no room for dots or hatching."""
YELLOW, VIOLET = 110.0, 300.0
"""Hues between these grow bluer in the shade, the others redder."""
RASTER: Final = 4.6
"""The distance of dots or hatching, in pixels."""
DARK: Final = 0.3
"""Below this lightness a shade would not show: it is drawn as light instead."""


class Canvas:
    """Collects elements; lengths are hundredths of the height of a head, `scale` is how many pixels one of them is.

    What lies below `bottom` is not in the picture; who draws much there had better ask first.
    """

    def __init__(self, style: Style, scale: float, bottom: float = math.inf) -> None:
        self.style = style
        self.scale = scale
        self.bottom = bottom
        self.line = style.line_width * (1.35 / scale) ** 0.5
        self.light = (style.light, -0.75)
        self._elements: list[str] = []
        self._definitions: list[str] = []

    def add(self, element: str) -> None:
        """Put an element on top of all others."""
        self._elements.append(element)

    def define(self, element: str) -> str:
        """Keep a definition, `{id}` in it standing for its name, and return that name."""
        name = f"d{len(self._definitions)}"
        self._definitions.append(element.replace("{id}", name))
        return name

    @contextmanager
    def group(self, attributes: str) -> Iterator[None]:
        """Put what is drawn within into a group with these attributes."""
        self.add(f"<g {attributes}>")
        yield
        self.add("</g>")

    @contextmanager
    def within(self, outline: str) -> Iterator[None]:
        """Let what is drawn within show only inside an outline."""
        name = self.define(f'<clipPath id="{{id}}"><path d="{outline}"/></clipPath>')
        with self.group(f'clip-path="url(#{name})"'):
            yield

    def ink(self, fill: Colour) -> Colour:
        """Return the colour of the pen around something of this colour."""
        own = Colour(max(0.2, fill.lightness * 0.5 - 0.02), min(fill.chroma * 1.1 + 0.02, 0.16), fill.hue)
        return INKS.get(self.style.ink, own)

    def fill(self, outline: str, colour: Colour, opacity: float = 1.0) -> None:
        """Paint an area, without an outline or shade."""
        seen = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
        self.add(f'<path d="{outline}" fill="{colour.hex}"{seen}/>')

    def stroke(self, outline: str, colour: Colour, width: float, opacity: float = 1.0, ends: str = "round") -> None:
        """Draw a line of an even width, its ends "round" or "butt"."""
        seen = f' stroke-opacity="{opacity:.2f}"' if opacity < 1 else ""
        self.add(
            f'<path d="{outline}" fill="none" stroke="{colour.hex}" stroke-width="{width:.2f}" '
            f'stroke-linecap="{ends}" stroke-linejoin="round"{seen}/>'
        )

    def detail(self, outline: str, colour: Colour, line: float = 0.7) -> None:
        """Paint a small thing: with an outline, but no shade."""
        self.fill(outline, colour)
        self.stroke(outline, self.ink(colour), self.line * line)

    def shape(self, outline: str, colour: Colour, *, depth: float = 5.0, line: float = 1.0) -> None:
        """Paint a thing as the style does: with an outline, and a shade `depth` wide away from the light."""
        style, ink = self.style, self.ink(colour)
        shading = style.shading
        if shading == "gradient":
            self.paint(outline, self._gradient(colour.lighter(0.03), colour.toward(self.shade(colour), 0.8)))
        else:
            self.fill(outline, colour)
        deep, swelling, rim = depth * self.scale, style.line_taper * self.line * line * 1.2, style.rim * 2.4
        shaded = shading in ("cel", "hatching", "screentone") and deep > VISIBLE
        swells, rimmed = swelling * self.scale > VISIBLE / 2, rim * self.scale > VISIBLE and depth > rim
        if shaded or swells or rimmed:
            relief = Relief(outline, self.light)
            if shaded:
                if shading == "cel" or deep < TONED:
                    self.fill(relief.shadow(depth * 1.7), self.shade(colour))
                else:
                    self._printed(relief.shadow(depth * 1.7), colour)
            if rimmed:
                self.fill(relief.rim(rim), colour.toward(WHITE, 0.75), 0.85)
            if swells:
                self.fill(relief.shadow(swelling), ink)
        if line:
            self.stroke(outline, ink, self.line * line)

    def shade(self, colour: Colour) -> Colour:
        """Return the colour where the light does not reach: darker, and its hue a step toward blue or red."""
        strength = self.style.shade_strength
        cool = 12 if YELLOW < colour.hue < VIOLET else -12
        darker = colour.darker(0.05 + 0.13 * strength)
        return Colour(darker.lightness, min(0.2, colour.chroma * 1.12 + 0.008), (colour.hue + cool) % 360)

    def blurred(self, radius: float) -> str:
        """Return the attribute of a group that is seen out of focus. Slow: once in a picture is enough."""
        name = self.define(f'<filter id="{{id}}"><feGaussianBlur stdDeviation="{radius:.2f}"/></filter>')
        return f'filter="url(#{name})"'

    def ramp(self, stops: Sequence[tuple[float, Colour, float]], direction: str = "0 0 0 1") -> str:
        """Return a paint that changes along (x1, y1, x2, y2) of its area: (place 0..1, colour, opacity) by place."""
        x1, y1, x2, y2 = direction.split()
        drawn = "".join(
            f'<stop offset="{place:.2f}" stop-color="{colour.hex}" stop-opacity="{opacity:.2f}"/>'
            for place, colour, opacity in stops
        )
        name = self.define(
            f'<linearGradient id="{{id}}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}">{drawn}</linearGradient>'
        )
        return f"url(#{name})"

    def halo(self, colour: Colour, opacity: float) -> str:
        """Return a paint that fades from the middle of its area to the edge."""
        name = self.define(
            f'<radialGradient id="{{id}}"><stop offset="0" stop-color="{colour.hex}" stop-opacity="{opacity:.2f}"/>'
            f'<stop offset="1" stop-color="{colour.hex}" stop-opacity="0"/></radialGradient>'
        )
        return f"url(#{name})"

    def paint(self, outline: str, paint: str) -> None:
        """Paint an area with what `ramp` or `halo` gave."""
        self.add(f'<path d="{outline}" fill="{paint}"/>')

    def tone(self, outline: str, colour: Colour) -> None:
        """Shade an area of a colour that is painted already, as the style does."""
        if self.style.shading in ("hatching", "screentone"):
            self._printed(outline, colour)
        elif self.style.shading != "flat":
            self.fill(outline, self.shade(colour), 0.55 if self.style.shading == "gradient" else 1.0)
        else:
            self.fill(outline, self.shade(colour), 0.35)

    def svg(self, width: int, height: int) -> str:
        """Return the finished drawing."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
            f"<defs>{''.join(self._definitions)}</defs>{''.join(self._elements)}</svg>"
        )

    def _gradient(self, light: Colour, dark: Colour) -> str:
        x = 0.5 - self.light[0] * 0.35
        name = self.define(
            f'<linearGradient id="{{id}}" x1="{1 - x:.2f}" y1="0" x2="{x:.2f}" y2="1">'
            f'<stop offset="0.15" stop-color="{light.hex}"/><stop offset="1" stop-color="{dark.hex}"/></linearGradient>'
        )
        return f"url(#{name})"

    def _printed(self, outline: str, colour: Colour) -> None:
        """Hatch an area of a colour, or print it with dots."""
        style = self.style
        shade = self.shade(colour).darker(0.12) if colour.lightness >= DARK else colour.lighter(0.2)
        size = RASTER / self.scale
        thick = size * (0.16 + 0.24 * style.shade_strength)
        if style.shading == "hatching":
            self.stroke(hatched(outline, size, 52), shade, thick)
            return
        self.add(
            f'<path d="{hatched(outline, size, 45, grid=True)}" fill="none" stroke="{shade.hex}" '
            f'stroke-width="{thick * 1.9:.2f}" stroke-linecap="round" stroke-dasharray="0 {size:.2f}"/>'
        )
