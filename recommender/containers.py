"""Picture files as containers: which format they are, how large the picture is, and which way up it belongs.

`unwrap` also drops what no decoder of pixels needs (profiles, comments, thumbnails, later frames), so that a damaged
or hostile note inside a good picture can neither spoil it nor cost anything. Not here: pixels (`images`), Pillow.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from recommender.errors import TooLarge, Unreadable, UnsupportedFormat

ACCEPTED = "JPEG, PNG, WebP, GIF and BMP"
MAX_PARTS = 100_000
"""More segments, chunks or blocks than any honest file has; each costs a step of Python here."""
MAX_SCANS = 50
"""A progressive JPEG has about ten scans. Each costs a pass over the whole picture, but may be a few bytes long."""

_SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("BMP", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)),
)
_STRANGERS = (
    ("an SVG drawing", re.compile(rb"\s*<svg\b|\s*<(\?xml|!--|!doctype svg)(?=.*<svg\b)", re.DOTALL | re.IGNORECASE)),
    (
        "an HTML page",
        re.compile(rb"\s*<(!doctype html|html|head|body)\b|\s*<!--(?=.*<html\b)", re.DOTALL | re.IGNORECASE),
    ),
    ("an XML document", re.compile(rb"\s*<\?xml")),
    ("a PDF document", re.compile(rb"%PDF-")),
    ("a TIFF picture", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("an icon (ICO)", re.compile(rb"\0\0[\x01\x02]\0.\0", re.DOTALL)),
    ("an AVIF picture", re.compile(rb"....ftypavi[fs]", re.DOTALL)),
    ("a HEIC picture", re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL)),
    ("a video", re.compile(rb"....ftyp|\x1a\x45\xdf\xa3", re.DOTALL)),
    ("a JPEG XL picture", re.compile(rb"\xff\x0a|\0\0\0\x0cJXL ")),
    ("a JPEG 2000 picture", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("a Photoshop document", re.compile(rb"8BPS")),
    ("a ZIP archive", re.compile(rb"PK\x03\x04")),
    # Printable ASCII, white space and UTF-8's longer sequences; the end may cut one of those in two.
    ("text", re.compile(rb"(\xef\xbb\xbf)?([\t\n\f\r -~]|[\xc2-\xf4][\x80-\xbf]+)+[\xc2-\xf4]?\Z")),
)
_SNIFFED = 1024


@dataclass(frozen=True, slots=True)
class Container:
    """A picture file taken apart.

    `data` is the file without what its pixels do not need, `size` the width and height as stored, in pixels, and
    `orientation` how to turn them upright: 1..8 as in Exif 2.32, 4.6.4, tag 0x0112.
    """

    format: str
    data: bytes
    size: tuple[int, int]
    orientation: int = 1


def unwrap(data: bytes) -> Container:
    """Take a picture file apart without decoding a pixel.

    Raises UnsupportedFormat for anything but the accepted formats, TooLarge for a JPEG that is made to be slow, and
    Unreadable where the file ends too early or contradicts itself.
    """
    if not data:
        raise Unreadable("the picture is empty (0 bytes): choose another file")
    for name, signature in _SIGNATURES:
        if signature.match(data):
            try:
                return _READERS[name](data)
            except (struct.error, IndexError):
                raise _cut_off(name) from None
    head = data[:_SNIFFED]
    found = next((kind for kind, signature in _STRANGERS if signature.match(head)), "of an unknown format")
    raise UnsupportedFormat(f"this is {found}; Sokkuri reads {ACCEPTED}")


def _cut_off(name: str) -> Unreadable:
    return Unreadable(f"the {name} file is damaged or cut off: save or download the picture again")


def _endless(name: str) -> Unreadable:
    return Unreadable(f"the {name} file has more than {MAX_PARTS:,} parts, most of them no picture: save it again")


_ORIENTATION = 0x0112


def _orientation(exif: bytes) -> int:
    """Find the orientation in a block of Exif; 1 (upright) where there is none or the block is damaged."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(entries):
            tag, _kind, _count, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if value in range(1, 9) else 1
    except struct.error:
        pass
    return 1


# JPEG: ITU-T T.81, annex B. A marker is 0xFF (repeated at will) and a code; 0xFF00 and RST (D0..D7) belong to a scan.
# Looking for the last 0xFF alone finds the same and is many times faster: the search can skip to the next one.
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NOTES = frozenset(range(0xE0, 0xF0)) - {0xE0, 0xEE} | {0xFE}
"""Application segments and comments, but for those that tell the colour space: JFIF (APP0) and Adobe (APP14)."""


def _jpeg(data: bytes) -> Container:
    """Keep the segments that the pixels need, and everything from the first scan to the end of the first picture.

    What follows that end is dropped: the further pictures of an MPO, which phones write, or a motion photo's film.
    """
    kept, exif, size, position = [b"\xff\xd8"], b"", (0, 0), 2
    for _ in range(MAX_PARTS):
        start, code, position = _segment(data, position)
        if code == _SOS:
            kept.append(data[start : _end_of_scans(data, position)])
            return Container("JPEG", b"".join(kept), size, _orientation(exif))
        if code == _EOI or position > len(data):
            break
        if code in _SOF:
            height, width = struct.unpack_from(">HH", data, start + 5)
            size = (width, height)
        if code == _APP1 and data[start + 4 : start + 8] == b"Exif":
            exif = exif or data[start + 4 : position]
        elif code not in _NOTES:
            kept.append(data[start:position])
    else:
        raise _endless("JPEG")
    raise _cut_off("JPEG")


def _segment(data: bytes, position: int) -> tuple[int, int, int]:
    """Find the next segment: where it starts, its code, and where it ends. Raises struct.error past the last."""
    marker = _MARKER.search(data, position)
    if marker is None:
        raise struct.error
    code, start, body = marker[1][0], marker.end() - 2, marker.end()
    if code in (_SOI, _EOI):
        return start, code, body
    (length,) = struct.unpack_from(">H", data, body)
    return start, code, body + length


def _end_of_scans(data: bytes, position: int) -> int:
    """Return where the first picture ends, counting its scans. A missing end is left to the decoder to judge."""
    scans = 1
    for _ in range(MAX_PARTS):
        try:
            _, code, position = _segment(data, position)
        except struct.error:
            return len(data)
        if code == _EOI:
            return position
        scans += code == _SOS
        if scans > MAX_SCANS:
            raise TooLarge(f"the JPEG has more than {MAX_SCANS} scans: save the picture again as an ordinary JPEG")
    raise _endless("JPEG")


def _png(data: bytes) -> Container:
    """Keep the chunks that make the pixels; an animation (APNG) becomes its still picture. W3C PNG, section 11."""
    kept, exif, position, end = [data[:8]], b"", 8, False
    for _ in range(MAX_PARTS):
        if end or position + 12 > len(data):
            kept.append(b"\0\0\0\0IEND\xae\x42\x60\x82")
            return Container("PNG", b"".join(kept), struct.unpack_from(">II", data, 16), _orientation(exif))
        length, kind = struct.unpack_from(">I4s", data, position)
        chunk = data[position : position + 12 + length]
        position += 12 + length
        end = kind == b"IEND"
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT"):
            if position > len(data):
                break
            kept.append(chunk)
        elif kind == b"eXIf":
            exif = chunk[8:-4]
    else:
        raise _endless("PNG")
    raise _cut_off("PNG")


_EXTENSION, _FRAME = 0x21, 0x2C


def _gif(data: bytes) -> Container:
    """Keep the screen, the transparent colour and the first frame. GIF89a specification, sections 18 to 23."""
    screen_width, screen_height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    kept = [data[:position]]
    for _ in range(MAX_PARTS):
        if data[position] == _FRAME:
            left, top, width, height = struct.unpack_from("<HHHH", data, position + 1)
            kept.append(data[position:])
            # A frame may reach over its screen; decoders then enlarge the screen.
            size = max(screen_width, left + width), max(screen_height, top + height)
            return Container("GIF", b"".join(kept), size)
        if data[position] != _EXTENSION:
            break
        if data[position + 1 : position + 3] == b"\xf9\x04":
            # Of the graphic control only the transparent colour: disposal is about the frames that follow.
            kept.append(bytes((0x21, 0xF9, 4, data[position + 3] & 1, 0, 0, data[position + 6], 0)))
        position = _after_blocks(data, position + 2)
    else:
        raise _endless("GIF")
    raise _cut_off("GIF")


def _after_blocks(data: bytes, position: int) -> int:
    """Return where a GIF's chain of sub-blocks ends. Raises IndexError at the end of the data."""
    while data[position]:
        position += 1 + data[position]
    return position + 1


def _webp(data: bytes) -> Container:
    """Read the canvas size and the Exif chunk; the rest is left alone. RFC 9649, sections 2.5 to 2.7 and 3.4."""
    kind = data[12:16]
    if kind == b"VP8X":
        size = 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L" and data[20:21] == b"\x2f":
        (bits,) = struct.unpack_from("<I", data, 21)
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        size = width & 0x3FFF, height & 0x3FFF
    else:
        raise _cut_off("WebP")
    return Container("WEBP", data, size, _orientation(_webp_exif(data)))


def _webp_exif(data: bytes) -> bytes:
    position = 12
    for _ in range(MAX_PARTS):
        if position + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF":
            return data[position + 8 : position + 8 + length]
        position += 8 + length + (length & 1)
    return b""


_CORE_HEADER = 12
"""The length of the oldest header, whose width and height are two bytes each."""


def _bmp(data: bytes) -> Container:
    """Read the size; a negative height means that the rows run downwards. Windows GDI, BITMAPINFOHEADER."""
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == _CORE_HEADER else "<ii", data, 18)
    return Container("BMP", data, (width, abs(height)))


_READERS: dict[str, Callable[[bytes], Container]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "GIF": _gif,
    "BMP": _bmp,
}
