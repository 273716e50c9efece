"""Views: the same picture, seen otherwise. Random ones to train with, named ones to test how robust a model is.

A view is a picture of its own: it has an id, made from the picture's and its own name, so that its features are kept
in the embedding table like any other's. Not here: what is trained on views, and which alterations are measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from recommender.types import DecodedImage, PictureId

RECIPE = 1
"""Counted up whenever `augmented` changes: features of older views are then not mistaken for those of the new ones."""
CUT, RECOLOURED, GREY, SOFTENED, RESAVED = 0.8, 0.6, 0.1, 0.15, 0.4
"""How often a random view is cut, recoloured, grey, softened, and saved as a JPEG."""
NETWORK_SIDE = 224
"""The scale at which blur and resolution are meant: what most networks look at."""


def view_id(picture: PictureId, view: str) -> PictureId:
    """Return the id of a view: the SHA-256 of the picture's id and the view's name."""
    return PictureId(hashlib.sha256(f"{picture} {view}".encode()).hexdigest())


def augmented_name(number: int) -> str:
    """Return the name of the random view of a number, counted from 1."""
    return f"augmented-{RECIPE}-{number}"


def augmented(image: DecodedImage, number: int) -> DecodedImage:
    """Return the random view of a number, counted from 1. The same picture and number always give the same view.

    What suits drawings, where line and hue are what counts: mirrored, cut between face and figure (more often the upper
    part, where heads are), light, contrast, saturation and hue a little off, sometimes grey, softened, or saved as a
    poor JPEG. Odd numbers are mirrored, even ones are not, so that two views hold both.
    """
    name = augmented_name(number)
    identity = view_id(image.id, name)
    draw = np.random.default_rng(int(identity[:16], 16))
    picture = _tensor(image)
    if number % 2:
        picture = functional.horizontal_flip(picture)
    if draw.random() < CUT:
        picture = _cut(picture, draw)
    if draw.random() < RECOLOURED:
        picture = _recoloured(picture, draw)
    if draw.random() < GREY:
        picture = functional.rgb_to_grayscale(picture, num_output_channels=3)
    if draw.random() < SOFTENED:
        picture = _softened(picture, float(draw.uniform(0.5, 1.5)))
    if draw.random() < RESAVED:
        picture = _resaved(picture, int(draw.integers(30, 91)))
    return _picture(picture, image, identity)


def _cut(picture: torch.Tensor, draw: np.random.Generator) -> torch.Tensor:
    """Cut out 35 to 100 % of the area, a little narrower or wider, anywhere but rather at the top."""
    height, width = picture.shape[1:]
    area, stretch = draw.uniform(0.35, 1.0), np.exp(draw.uniform(np.log(3 / 4), np.log(4 / 3)))
    rows = max(1, min(height, round(height * float(np.sqrt(area / stretch)))))
    columns = max(1, min(width, round(width * float(np.sqrt(area * stretch)))))
    top = int((height - rows) * draw.random() ** 2)
    left = int((width - columns) * draw.random())
    result: torch.Tensor = functional.crop(picture, top, left, rows, columns)
    return result


def _recoloured(picture: torch.Tensor, draw: np.random.Generator) -> torch.Tensor:
    """Change light, contrast and saturation by up to a quarter, and the hue by up to 7 degrees."""
    light, contrast, saturation = (float(factor) for factor in draw.uniform(0.75, 1.25, size=3))
    picture = functional.adjust_brightness(picture, light)
    picture = functional.adjust_contrast(picture, contrast)
    picture = functional.adjust_saturation(picture, saturation)
    result: torch.Tensor = functional.adjust_hue(picture, float(draw.uniform(-0.02, 0.02)))
    return result


def _at_network_scale(picture: torch.Tensor) -> torch.Tensor:
    """Reduce a picture until its short side has NETWORK_SIDE pixels; a smaller one stays."""
    if min(picture.shape[1:]) <= NETWORK_SIDE:
        return picture
    result: torch.Tensor = functional.resize(picture, [NETWORK_SIDE], antialias=True)
    return result


def _softened(picture: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur with a Gaussian of `sigma` pixels at the scale of the network."""
    picture = _at_network_scale(picture)
    radius = min(int(np.ceil(3 * sigma)), min(picture.shape[1:]) - 1)
    result: torch.Tensor = functional.gaussian_blur(picture, [2 * radius + 1, 2 * radius + 1], [sigma, sigma])
    return result


def _resaved(picture: torch.Tensor, quality: int) -> torch.Tensor:
    """Save as a JPEG of a quality between 1 and 100, and read it again.

    As a picture of Pillow's, not as a tensor: torchvision's own JPEG codec is deprecated from 0.29 on.
    """
    saved = functional.jpeg(functional.to_pil_image(picture), quality)
    result: torch.Tensor = functional.pil_to_tensor(saved)
    return result


def _head(picture: torch.Tensor) -> torch.Tensor:
    """Cut to where a head usually is: the upper half, and of that the middle two thirds."""
    height, width = picture.shape[1:]
    result: torch.Tensor = functional.crop(
        picture, 0, width // 6, max(1, height // 2), max(1, width - 2 * (width // 6))
    )
    return result


def _halved(picture: torch.Tensor) -> torch.Tensor:
    """Reduce to half the resolution that the network looks at."""
    if min(picture.shape[1:]) <= NETWORK_SIDE // 2:
        return picture
    result: torch.Tensor = functional.resize(picture, [NETWORK_SIDE // 2], antialias=True)
    return result


_ALTERATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mirrored": functional.horizontal_flip,
    "head": _head,
    "grey": lambda picture: functional.rgb_to_grayscale(picture, num_output_channels=3),
    "jpeg-30": lambda picture: _resaved(picture, 30),
    "blurred": lambda picture: _softened(picture, 2.0),
    "half-resolution": _halved,
}
ALTERATIONS = tuple(_ALTERATIONS)
"""What a robust model does not mind: mirrored, cut to the head, grey, JPEG of quality 30, blurred (2 pixels at 224),
112 pixels instead of 224."""


def altered(image: DecodedImage, alteration: str) -> DecodedImage:
    """Return the view of one of ALTERATIONS. Raises KeyError for another name."""
    return _picture(_ALTERATIONS[alteration](_tensor(image)), image, view_id(image.id, alteration))


def nothing(number: int) -> DecodedImage:
    """Return a picture that shows nobody: a plain sheet, a gradient, stripes, blots or noise. Its number decides.

    What a model is certain of on these, it is certain of for no reason.
    """
    draw = np.random.default_rng(number)
    down, across = np.mgrid[0:NETWORK_SIDE, 0:NETWORK_SIDE] / NETWORK_SIDE
    one, other = draw.uniform(0, 255, size=(2, 3))
    angle, waves = draw.uniform(0, np.pi), draw.uniform(2, 30)
    along = np.cos(angle) * across + np.sin(angle) * down
    match number % 5:
        case 0:
            mixture = np.zeros((*along.shape, 1))
        case 1:
            mixture = ((along - along.min()) / np.ptp(along))[..., np.newaxis]
        case 2:
            mixture = (np.sin(2 * np.pi * waves * along) > 0)[..., np.newaxis].astype(float)
        case 3:
            coarse = torch.from_numpy(draw.random((1, 5, 5)))
            mixture = functional.resize(coarse, [NETWORK_SIDE, NETWORK_SIDE], antialias=True).permute(1, 2, 0).numpy()
        case _:
            mixture = draw.random((*along.shape, 3))
    pixels = (one + mixture * (other - one)).astype(np.uint8)
    return DecodedImage(nothing_id(number), np.ascontiguousarray(pixels), "PNG", NETWORK_SIDE, NETWORK_SIDE)


def nothing_id(number: int) -> PictureId:
    """Return the id of the picture of a number that shows nobody."""
    return PictureId(hashlib.sha256(f"nothing {RECIPE} {number}".encode()).hexdigest())


def _tensor(image: DecodedImage) -> torch.Tensor:
    """Return the pixels as (3, height, width)."""
    return torch.from_numpy(image.pixels).permute(2, 0, 1).contiguous()


def _picture(picture: torch.Tensor, image: DecodedImage, identity: PictureId) -> DecodedImage:
    """Return a view's pixels as a picture."""
    pixels = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
    return replace(image, id=identity, pixels=pixels)
