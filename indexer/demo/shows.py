"""How the twelve shows of the demo world are drawn, and two that are not in its catalogue.

They come in pairs of cousins, so that "which shows are drawn like it?" has an answer: two of large romantic eyes, two
of heavy ink, two of big heads, two of soft light, two of printed dots, two of the old school.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from indexer.demo.style import Style

PETALS: Final = Style(
    line_width=0.8, line_taper=0.2, saturation=0.9, lightness=0.07, warmth=0.3, contrast=0.85, hues=12,
    eye_height=1.4, eye_width=1.15, eye_spacing=1.02, eye_level=1.0, highlights=3, lash=1.4, face_width=0.97, chin=0.75,
    heads=6.6, volume=1.2, strands=0.9, sharpness=0.85, mouth_size=0.8, shade_strength=0.35, light=-0.5, glow=0.3,
    blush=0.8, ink="brown", eye="tall", iris="jewel", nose="dot", mouth="soft", blush_kind="soft", shine="spots",
    shading="gradient", background="pattern",
)  # fmt: skip
MAPLE: Final = replace(
    PETALS, line_width=0.7, saturation=0.72, warmth=0.75, eye_height=1.28, eye="droopy", heads=6.1, chin=0.55,
    glow=0.15, strands=0.7, blush_kind="strokes", ink="own", shine="streaks", background="paper", grain=0.25, hues=8,
)  # fmt: skip
CINDER: Final = Style(
    line_width=3.0, line_taper=1.0, saturation=0.75, lightness=-0.07, warmth=0.1, contrast=1.25, hues=5,
    eye_height=0.72, eye_width=1.1, eye_spacing=1.0, eye_level=0.0, highlights=1, lash=1.2, face_width=0.93, chin=1.0,
    heads=7.4, volume=1.25, strands=0.35, sharpness=1.0, mouth_size=1.15, shade_strength=1.0, light=0.8, grain=0.3,
    blush=0.0, ink="black", eye="sharp", iris="slit", nose="wedge", mouth="line", shine="none",
    shading="hatching", background="speed-lines",
)  # fmt: skip
KNUCKLE: Final = replace(
    CINDER, line_width=2.5, saturation=1.2, lightness=-0.02, warmth=0.5, eye="narrow", iris="plain", light=-0.8,
    heads=6.9, shading="cel", background="night-city", rim=0.75, mouth="wide", mouth_size=1.35, chin=0.75, hues=7,
    grain=0.0, shine="zigzag",
)  # fmt: skip
PUDDING: Final = Style(
    line_width=2.2, line_taper=0.2, saturation=1.2, lightness=0.06, warmth=0.2, contrast=0.95, hues=9,
    eye_height=1.2, eye_width=1.3, eye_spacing=1.12, eye_level=6.0, highlights=2, lash=0.7, face_width=1.13, chin=0.0,
    heads=2.3, volume=1.3, strands=0.1, sharpness=0.3, mouth_size=0.95, shade_strength=0.45, light=-0.7,
    blush=1.0, ink="brown", eye="round", iris="full", nose="none", mouth="cat", blush_kind="oval", shine="band",
    shading="cel", background="plain",
)  # fmt: skip
MOSS: Final = replace(
    PUDDING, line_width=1.6, saturation=0.8, warmth=0.6, heads=2.9, eye="dot", highlights=1, lash=0.8, ink="own",
    shading="flat", background="landscape", blush_kind="soft", shine="none", face_width=1.08, grain=0.35, strands=0.3,
)  # fmt: skip
TIDE: Final = Style(
    line_width=0.6, line_taper=0.5, saturation=0.85, lightness=0.02, warmth=-0.35, contrast=0.9, hues=20,
    eye_height=1.05, eye_width=1.0, eye_spacing=1.0, eye_level=0.0, highlights=2, lash=0.9, face_width=0.98, chin=0.6,
    heads=7.0, volume=1.05, strands=1.0, sharpness=0.75, mouth_size=0.75, shade_strength=0.65, light=0.6, glow=0.7,
    rim=0.4, blush=0.35, ink="own", eye="tall", iris="full", nose="shadow", mouth="line", blush_kind="soft",
    shine="streaks", shading="gradient", background="sky",
)  # fmt: skip
HERON: Final = replace(
    TIDE, line_width=0.8, saturation=1.0, lightness=-0.05, warmth=-0.7, contrast=1.15, shade_strength=0.9, rim=0.9,
    glow=0.4, eye="sharp", eye_height=1.15, iris="jewel", background="night-city", light=-0.4, ink="indigo", heads=6.7,
    chin=0.8,
)  # fmt: skip
UMBRELLA: Final = Style(
    line_width=1.5, line_taper=0.7, saturation=0.42, lightness=0.05, warmth=0.0, contrast=1.25, hues=4,
    eye_height=0.95, eye_width=1.02, eye_spacing=0.98, eye_level=0.0, highlights=1, lash=1.1, face_width=1.0, chin=0.55,
    heads=6.2, volume=1.1, strands=0.7, sharpness=0.9, mouth_size=1.0, shade_strength=0.8, light=-0.9, grain=0.2,
    blush=0.25, ink="black", eye="tall", iris="plain", nose="line", mouth="line",
    blush_kind="strokes", shine="zigzag", shading="screentone", background="paper",
)  # fmt: skip
CHESS: Final = replace(
    UMBRELLA, line_width=1.1, saturation=0.55, eye="droopy", eye_height=0.82, iris="full", highlights=2, warmth=-0.4,
    background="room", light=0.7, heads=5.2, mouth="wide", chin=0.25, face_width=1.06, nose="dot", shade_strength=0.55,
)  # fmt: skip
COMET: Final = Style(
    line_width=1.9, line_taper=0.5, saturation=1.1, lightness=-0.03, warmth=0.9, contrast=1.05, hues=6,
    eye_height=1.3, eye_width=0.85, eye_spacing=1.1, eye_level=-1.0, highlights=2, lash=1.7, face_width=1.02, chin=0.35,
    heads=5.8, volume=1.3, strands=0.2, sharpness=0.55, mouth_size=1.0, shade_strength=0.7, light=-1.0, grain=1.0,
    blush=0.15, ink="black", eye="round", iris="hollow", nose="wedge", mouth="soft", blush_kind="oval", shine="band",
    shading="cel", background="landscape",
)  # fmt: skip
GRANARY: Final = replace(
    COMET, line_width=1.6, saturation=0.8, warmth=0.55, eye_height=1.05, eye="dot", heads=4.6, volume=1.15, grain=0.75,
    background="sky", face_width=1.1, chin=0.1, light=-0.3, lash=1.0, blush=0.6, shading="flat", shine="spots",
)  # fmt: skip
ORBIT: Final = Style(
    line_width=1.2, line_taper=0.0, saturation=1.4, lightness=0.0, warmth=-0.9, contrast=1.3, hues=3,
    eye_height=0.6, eye_width=1.35, eye_spacing=1.15, eye_level=3.0, highlights=0, lash=0.4, face_width=0.9, chin=0.9,
    heads=7.5, volume=0.95, strands=0.0, sharpness=1.0, mouth_size=1.3, shade_strength=0.9, light=1.0, rim=1.0,
    blush=0.0, ink="indigo", eye="narrow", iris="hollow", nose="line", mouth="wide", shine="zigzag",
    shading="cel", background="pattern",
)  # fmt: skip
"""A show that the catalogue does not have."""
TEAPOT: Final = Style(
    line_width=2.7, line_taper=0.0, saturation=0.6, lightness=0.1, warmth=1.0, contrast=0.7, hues=6,
    eye_height=0.8, eye_width=0.8, eye_spacing=1.2, eye_level=7.0, highlights=1, lash=0.4, face_width=1.14, chin=0.0,
    heads=3.6, volume=1.0, strands=0.9, sharpness=0.0, mouth_size=1.3, shade_strength=0.9, light=0.4, grain=0.6,
    blush=0.9, ink="indigo", eye="round", iris="hollow", nose="shadow", mouth="cat", blush_kind="strokes",
    shine="none", shading="hatching", background="room",
)  # fmt: skip
"""Another one."""
