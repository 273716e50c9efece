"""Pictures made in memory, good and hostile, for tests of whatever reads pictures."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
HTML = b"<!DOCTYPE html>\n<html><body>Not found</body></html>"
TEXT = "そっくり: only text\n".encode()
REAL = Path(__file__).parents[2] / "shared/pictures"
"""Real pictures beside the repository, which not every machine has."""


def pixels(seed: int = 0, size: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    """Return smooth colours that differ from seed to seed and have no symmetry; `size` is width and height."""
    width, height = size
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def picture(
    seed: int = 0, size: tuple[int, int] = (64, 48), kind: str = "PNG", mode: str = "RGB", **options: Any
) -> bytes:
    """Return a picture file of Pillow's format `kind` and the given mode, with the colours of `pixels`."""
    return saved(Image.fromarray(pixels(seed, size)).convert(mode), kind, **options)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the bytes of an image as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def oriented(orientation: int, size: tuple[int, int] = (64, 48), kind: str = "JPEG") -> bytes:
    """Return a picture that says in its Exif which way up it belongs."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    return picture(3, size, kind, exif=exif.tobytes(), **options)


def animation(kind: str, colours: tuple[str, ...] = ("red", "blue"), size: tuple[int, int] = (40, 40)) -> bytes:
    """Return an animation of plain colours."""
    first, *rest = (Image.new("RGB", size, colour) for colour in colours)
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    return saved(first, kind, save_all=True, append_images=rest, duration=100, **options)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG file with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(size: tuple[int, int], rows: bytes, depth: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    """Return a PNG made by hand: `rows` are its scan lines, each after its filter byte."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def bomb(side: int = 50_000) -> bytes:
    """Return a small PNG file that holds side x side one-bit pixels."""
    rows, length = 100, 1 + -(-side // 8)
    packer = zlib.compressobj(9, wbits=-15)
    # After a full flush the same compressed block may be repeated at will (RFC 1951), so that packing takes no time.
    block = packer.compress(bytes(rows * length)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">HH", side * length % 65521, 1)  # Adler-32 of nothing but zeros, RFC 1950
    body = b"\x78\xda" + block * (side // rows) + b"\x03\0" + checksum
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def claiming(kind: str, side: int = 12_000) -> bytes:
    """Return the start of a file whose header claims side x side pixels."""
    if kind == "JPEG":
        data = bytearray(picture(kind="JPEG"))
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = struct.pack(">HH", side, side)
        return bytes(data)
    if kind == "GIF":
        return b"GIF89a" + struct.pack("<HH", side, side) + picture(kind="GIF")[10:]
    if kind == "BMP":
        data = bytearray(picture(kind="BMP"))
        data[18:26] = struct.pack("<ii", side, -side)
        return bytes(data)
    bits = struct.pack("<I", side - 1 | side - 1 << 14)
    return b"RIFF" + struct.pack("<I", 40) + b"WEBPVP8L" + struct.pack("<I", 20) + b"\x2f" + bits + bytes(15)
