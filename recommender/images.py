"""Pictures: untrusted bytes become upright RGB on white, within limits of size, memory and time.

The only home of Pillow. Not here: the files' outer form (`containers`), networks (`encoders`), folders (`indexer`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from recommender.containers import Container, unwrap
from recommender.errors import InvalidImage, TooLarge, TooSmall, Unreadable
from recommender.settings import Settings
from recommender.types import DecodedImage, PictureId, Pixels

WORKING_SIDE = 448
"""A decoded picture's short side is 448..895 pixels where its file has that many: twice what a network looks at."""
TILE = 1024
"""Pictures are converted in tiles of at most this side, so that no second full-size copy is ever held."""

# Made directly and not through `Image.open`: so no other plugin of Pillow ever runs, and its check for decompression
# bombs, which warns through a filter shared by all threads, is out of the way. `decode` checks the size before this.
_READERS: dict[str, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
}
_WEIGHTS = {"WEBP": 1.6}
"""How many pixels one of this format counts for: libwebp and Pillow hold four copies of a picture between them."""
_CMYK_WEIGHT = 4 / 3
"""A progressive JPEG is held whole as coefficients of two bytes each, and has four per pixel here instead of three."""
_LONGEST_SIDE = 65_535
"""JPEG's and GIF's own maximum. PNG has none, and a decoder's buffers are as long as two rows of the picture."""
_RUN_LENGTH = (1, 2)
"""The BMP compressions RLE8 and RLE4."""
_RUN_LENGTH_MOST = 2_000_000
"""Pillow reads a run-length coded BMP in Python, step by step: at most so many bytes and so many pixels."""
_BLOCK, _BLOCKS = 2**20, 16
"""Bytes in which Pillow takes memory for a picture, and how many such blocks `reuse_memory` lets it keep."""
_TRANSPOSED = 5
"""From this Exif orientation on, rows and columns change places."""
_ROWS_REVERSED = (3, 4, 7, 8)
_COLUMNS_REVERSED = (2, 3, 6, 7)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture may be: at most so many bytes and pixels, and no side shorter than `min_side` pixels."""

    max_bytes: int = 20_000_000
    max_pixels: int = 24_000_000
    min_side: int = 1

    @classmethod
    def of(cls, settings: Settings, min_side: int = 1) -> Self:
        """Take the limits from the settings."""
        return cls(settings.max_bytes, settings.max_pixels, min_side)

    def meet(self, needs: Mapping[str, int]) -> bool:
        """Tell whether a picture that was refused by other limits might pass these, by its `InvalidImage.needs`.

        Where it needs no other limits it was refused for what it is.
        """
        return bool(needs) and (
            self.min_side <= needs.get("min_side", self.min_side)
            and self.max_bytes >= needs.get("max_bytes", self.max_bytes)
            and self.max_pixels >= needs.get("max_pixels", self.max_pixels)
        )


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a decoded picture becomes a network's input: `size` x `size` pixels, then (value - mean) / std per channel.

    `squash` stretches the picture over the square; `pad` keeps its proportions and fills up with white. The defaults
    for `mean` and `std` are those of ImageNet, in 0..1, which torchvision's weights were trained with.
    """

    size: int = 224
    fit: Literal["squash", "pad"] = "squash"
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    @property
    def describe(self) -> str:
        """One line that differs wherever two preprocessings differ, for `EmbeddingSpace.preprocessing`."""
        mean, std = (",".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"decode{WORKING_SIDE}-{self.fit}{self.size}-{self.interpolation}-mean{mean}-std{std}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})


def reuse_memory() -> None:
    """Let decoding keep up to 16 MB for the next picture: to get pages anew for each takes as long as to decode it."""
    Image.core.set_block_size(_BLOCK)  # type: ignore[attr-defined]  # documented, not annotated
    Image.core.set_blocks_max(_BLOCKS)  # type: ignore[attr-defined]  # as above


def picture_id(data: bytes) -> PictureId:
    """Return the SHA-256 of a picture file's bytes, in hexadecimal."""
    return PictureId(hashlib.sha256(data).hexdigest())


def decode(data: bytes, limits: Limits = Limits()) -> DecodedImage:
    """Decode the bytes of a JPEG, PNG, WebP, GIF or BMP file; of an animation the first frame.

    The pixels are upright (Exif orientation), RGB, on white where the file is transparent, and reduced by whole
    factors, with the mean of each block, as long as the short side keeps WORKING_SIDE pixels. The same bytes always
    give the same pixels. Colour profiles are ignored. Raises a family member of InvalidImage and nothing else:
    TooLarge, TooSmall, UnsupportedFormat, or Unreadable.
    """
    if len(data) > limits.max_bytes:
        raise TooLarge(f"the picture has more than {limits.max_bytes:,} bytes: make it smaller", max_bytes=len(data))
    container = unwrap(data)
    _check_size(container, limits)
    try:
        pixels = _upright(_pixels(container, limits), container.orientation)
    except InvalidImage:
        raise
    except Exception as error:  # on damaged bytes Pillow raises whatever its parsers stumble over
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise Unreadable(
            f"the {container.format} file is damaged or cut off ({reason[0]}): save or download the picture again"
        ) from error
    width, height = container.size if container.orientation < _TRANSPOSED else container.size[::-1]
    return DecodedImage(picture_id(data), pixels, container.format, width, height)


def prepare(image: DecodedImage, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return a picture as a network's input: float32 of shape (3, size, size), contiguous, channels in order RGB."""
    resample = Image.Resampling[preprocessing.interpolation.upper()]
    picture, side = Image.fromarray(image.pixels), preprocessing.size
    if preprocessing.fit == "squash":
        square = picture.resize((side, side), resample)
    else:
        scale = side / max(picture.size)
        width, height = (max(1, round(length * scale)) for length in picture.size)
        square = Image.new("RGB", (side, side), "white")
        square.paste(picture.resize((width, height), resample), ((side - width) // 2, (side - height) // 2))
    mean, std = (
        np.array(values, dtype=np.float32)[:, None, None] for values in (preprocessing.mean, preprocessing.std)
    )
    # (v / 255 - mean) / std as one multiplication and one addition, written straight into channel-first order.
    planes = np.empty((3, side, side), dtype=np.float32)
    np.multiply(np.asarray(square).transpose(2, 0, 1), 1 / (255 * std), out=planes)
    planes -= mean / std
    return planes


def thumbnail(image: DecodedImage, side: int = 256) -> bytes:
    """Return a JPEG, without metadata, that fits within side x side pixels; a small picture is not enlarged."""
    picture = Image.fromarray(image.pixels)
    # Half the time of Lanczos' filter, and at this size nobody tells them apart.
    picture.thumbnail((side, side), Image.Resampling.HAMMING)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()


def perceptual_hash(image: DecodedImage) -> int:
    """Return 64 bits that stay nearly the same when a picture is scaled, recompressed or slightly recoloured.

    The difference hash of Neal Krawetz, "Kind of Like That" (hackerfactor.com, 2013): the picture in grey at 9 x 8
    pixels; each bit, row by row with the first as the highest, says whether a pixel is brighter than its right one.
    """
    grey = np.asarray(Image.fromarray(image.pixels).convert("L").resize((9, 8), Image.Resampling.BICUBIC))
    return int.from_bytes(np.packbits(grey[:, :-1] > grey[:, 1:]).tobytes(), "big")


def _check_size(container: Container, limits: Limits) -> None:
    """Refuse a picture by what its header says, so that a bomb costs nothing."""
    width, height = container.size
    if min(width, height) < 1:
        raise Unreadable(f"the {container.format} file holds no pixels ({width} x {height}): choose another picture")
    if max(width, height) > _LONGEST_SIDE:
        raise TooLarge(f"the picture has {width:,} x {height:,} pixels; a side may have {_LONGEST_SIDE:,}: cut it up")
    _check_pixels(container, limits, _WEIGHTS.get(container.format, 1))
    if min(width, height) < limits.min_side:
        raise TooSmall(
            f"the picture has {width} x {height} pixels; each side needs at least {limits.min_side}: use a larger one",
            min_side=min(width, height),
        )


def _check_pixels(container: Container, limits: Limits, weight: float) -> None:
    width, height = container.size
    most = int(limits.max_pixels / weight)
    if width * height > most:
        raise TooLarge(
            f"the picture has {width:,} x {height:,} pixels; the limit for this kind of {container.format} is "
            f"{most:,} altogether: make it smaller",
            max_pixels=ceil(width * height * weight),
        )


def _pixels(container: Container, limits: Limits) -> Pixels:
    """Decode the pixels as they are stored, and reduce them. Raises whatever Pillow raises on damaged bytes."""
    with _READERS[container.format](io.BytesIO(container.data)) as picture:
        if picture.size != container.size:
            raise Unreadable(f"the {container.format} file contradicts itself about its size: choose another picture")
        if picture.mode == "CMYK":
            _check_pixels(container, limits, _CMYK_WEIGHT)
        if container.format == "BMP" and picture.info.get("compression") in _RUN_LENGTH:
            _check_run_length(container)
        # Only JPEG can be decoded at a fraction of its size; for the others this does nothing.
        picture.draft(None, (WORKING_SIDE, WORKING_SIDE))
        picture.load()
        return _reduced(picture)


def _check_run_length(container: Container) -> None:
    width, height = container.size
    if max(width * height, len(container.data)) > _RUN_LENGTH_MOST:
        raise TooLarge(f"a compressed BMP may have {_RUN_LENGTH_MOST:,} pixels and bytes: save the picture as PNG")


def _reduced(picture: Image.Image) -> Pixels:
    """Convert a loaded picture to RGB on white, tile by tile, each averaged over blocks of factor x factor pixels."""
    factor = max(1, min(picture.size) // WORKING_SIDE)
    step = TILE // factor * factor  # whole blocks, so that the tiles' seams are those of the blocks
    width, height = picture.size
    result: Pixels = np.empty((-(-height // factor), -(-width // factor), 3), dtype=np.uint8)
    for top in range(0, height, step):
        for left in range(0, width, step):
            box = (left, top, min(left + step, width), min(top + step, height))
            tile = np.asarray(_on_white(picture.crop(box)).reduce(factor))
            row, column = top // factor, left // factor
            result[row : row + tile.shape[0], column : column + tile.shape[1]] = tile
    return result


def _on_white(tile: Image.Image) -> Image.Image:
    """Convert a tile of any mode to RGB, on white where it is transparent."""
    if tile.mode.startswith("I"):
        # 16-bit grey, which Pillow would clip at 255. PNG's other 16-bit kinds arrive as their upper 8 bits too.
        deep = np.asarray(tile)
        grey = (deep >> 8).astype(np.uint8)
        if "transparency" in tile.info:
            grey[deep == tile.info["transparency"]] = 255
        return Image.fromarray(grey).convert("RGB")
    if not tile.has_transparency_data:
        return tile.convert("RGB")
    layered = tile.convert("RGBA")
    white = Image.new("RGB", tile.size, "white")
    white.paste(layered, mask=layered)
    return white


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn pixels of height x width x 3 as the Exif orientation asks."""
    if orientation >= _TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in _ROWS_REVERSED:
        pixels = pixels[::-1]
    if orientation in _COLUMNS_REVERSED:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
