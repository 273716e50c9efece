"""`recommender.images`: hostile bytes are refused with a sentence, everything else becomes upright RGB on white."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from recommender.containers import MAX_PARTS, MAX_SCANS
from recommender.errors import InvalidImage, TooLarge, TooSmall, Unreadable, UnsupportedFormat
from recommender.images import (
    WORKING_SIDE,
    Limits,
    Preprocessing,
    decode,
    perceptual_hash,
    picture_id,
    prepare,
    thumbnail,
)
from recommender.settings import Settings
from tests import pictures
from tests.pictures import picture, pixels, saved

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


@pytest.mark.parametrize("kind", KINDS)
def test_every_accepted_format_is_read(kind: str) -> None:
    """Each of the five formats gives its name, its size and nearly its colours."""
    options: dict[str, Any] = {"quality": 95} if kind == "JPEG" else {}
    image = decode(picture(1, (60, 40), kind, **options))
    assert (image.format, image.width, image.height) == (kind, 60, 40)
    assert image.pixels.shape == (40, 60, 3)
    assert image.pixels.dtype == np.uint8
    assert np.abs(image.pixels.astype(int) - pixels(1, (60, 40))).mean() < 12


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_lossless_pixels_are_exact(kind: str) -> None:
    """What a lossless file of ordinary size holds arrives unchanged."""
    np.testing.assert_array_equal(decode(picture(2, (513, 600), kind)).pixels, pixels(2, (513, 600)))


def test_a_large_jpeg_is_scaled_while_it_is_decoded() -> None:
    """What libjpeg makes of 1000×1000 pixels at half their size arrives as it is, and was never decoded in full."""
    data = picture(3, (1000, 1000), "JPEG", quality=90)
    halved = Image.open(io.BytesIO(data))
    halved.draft("RGB", (WORKING_SIDE, WORKING_SIDE))
    assert halved.size == (500, 500)
    image = decode(data)
    np.testing.assert_array_equal(image.pixels, np.asarray(halved))
    assert (image.width, image.height) == (1000, 1000)
    in_full = np.asarray(Image.open(io.BytesIO(data)).reduce(2))
    assert not np.array_equal(image.pixels, in_full)


def test_the_id_is_the_digest_of_the_file() -> None:
    """A picture's id is the SHA-256 of its bytes, wherever it is asked for."""
    data = picture()
    assert decode(data).id == picture_id(data) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (pictures.SVG, "SVG"),
        (b"  " + pictures.SVG.partition(b"\n")[2], "SVG"),
        (pictures.HTML, "HTML"),
        (pictures.TEXT, "text"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
        (picture(kind="TIFF"), "TIFF"),
        (picture(kind="ICO"), "ICO"),
        (picture(kind="PPM"), "unknown"),
        (bytes(range(200)), "unknown"),
        (b"RIFF\0\0\0\0WAVEfmt ", "unknown"),
    ],
)
def test_other_formats_are_named_and_refused(data: bytes, word: str) -> None:
    """What is no picture for Sokkuri is refused by its content, and the sentence says what it reads."""
    with pytest.raises(UnsupportedFormat, match=f"this is .*{word}.*JPEG, PNG, WebP, GIF and BMP"):
        decode(data)


def test_empty_bytes_are_unreadable() -> None:
    """An empty upload is told apart from an unknown format."""
    with pytest.raises(Unreadable, match="empty"):
        decode(b"")


def test_bytes_are_counted_first() -> None:
    """A file over the limit of bytes is refused before anything looks into it."""
    with pytest.raises(TooLarge, match="100 bytes"):
        decode(pictures.TEXT * 20, Limits(max_bytes=100))


def test_a_bomb_costs_nothing() -> None:
    """A small PNG of 50,000 x 50,000 pixels is refused by its header, within milliseconds."""
    data = pictures.bomb()
    assert len(data) < 400_000
    started = time.perf_counter()
    with pytest.raises(TooLarge, match="50,000 x 50,000"):
        decode(data)
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP"])
def test_pixels_are_counted_from_the_header(kind: str) -> None:
    """Every format is refused by the size that it claims, though its pixels are not there."""
    with pytest.raises(TooLarge, match="12,000 x 12,000"):
        decode(pictures.claiming(kind))


def test_limits_come_from_the_settings() -> None:
    """What `Settings` allows is what `decode` allows, to the pixel."""
    limits = Limits.of(Settings(max_bytes=5000, max_pixels=100))
    assert decode(picture(size=(10, 10)), limits).width == 10
    with pytest.raises(TooLarge):
        decode(picture(size=(101, 1)), limits)


def test_a_side_has_a_limit_of_its_own() -> None:
    """A picture one pixel high is refused where a single row would fill a decoder's memory."""
    with pytest.raises(TooLarge, match="a side"):
        decode(pictures.png((70_000, 1), bytes(70_001)))


def test_small_pictures_are_refused_where_asked() -> None:
    """A library wants 32 pixels on each side; a query takes a single one."""
    data = picture(size=(64, 31))
    with pytest.raises(TooSmall, match=r"64 x 31 .* 32"):
        decode(data, Limits(min_side=32))
    assert decode(picture(size=(1, 1))).pixels.shape == (1, 1, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_off_file_is_unreadable(kind: str) -> None:
    """Half a file is refused in every format; no grey half is ever shown."""
    data = picture(4, (200, 200), kind)
    with pytest.raises(Unreadable, match="damaged or cut off"):
        decode(data[: len(data) // 2])


def _more_parts(kind: str) -> bytes:
    """Return a good file that has 100,001 notes before its pixels."""
    data, count = picture(kind=kind), MAX_PARTS + 1
    if kind == "PNG":
        return data[:33] + (b"\0\0\0\0tEXt" + zlib.crc32(b"tEXt").to_bytes(4)) * count + data[33:]
    if kind == "JPEG":
        return data[:2] + b"\xff\xfe\0\2" * count + data[2:]
    first = data.index(b"\x2c\0\0\0\0")
    return data[:first] + b"\x21\xfe\0" * count + data[first:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_endless_notes_are_refused_for_what_they_are(kind: str) -> None:
    """A good picture among more notes than any has is not called damaged."""
    with pytest.raises(Unreadable, match=f"the {kind} file has more than 100,000 parts"):
        decode(_more_parts(kind))


def test_a_jpeg_with_endless_scans_is_refused() -> None:
    """Scans of a few bytes each cost a pass over the whole picture, so they are counted first."""
    data = picture(kind="JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert decode(data[:-2] + last * 5 + b"\xff\xd9").width == 64
    with pytest.raises(TooLarge, match="scans"):
        decode(data[:-2] + last * MAX_SCANS + b"\xff\xd9")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(orientation: int, kind: str) -> None:
    """Each of the eight Exif orientations is applied, and width and height are those of the upright picture."""
    data = pictures.oriented(orientation, kind=kind)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    image = decode(data)
    np.testing.assert_array_equal(image.pixels, np.asarray(expected.convert("RGB")))
    assert (image.width, image.height) == expected.size
    assert image.pixels.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"]
)
def test_broken_exif_does_not_kill_a_picture(exif: bytes) -> None:
    """Damaged notes are left aside, silently, and the picture counts as upright."""
    for kind in ("JPEG", "PNG", "WEBP"):
        assert decode(picture(kind=kind, exif=exif)).width == 64


def test_notes_in_a_png_do_not_matter() -> None:
    """A PNG chunk that the pixels do not need may hold anything, even a text that unpacks to gigabytes."""
    notes = pictures.png_chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(80_000_000), 9))
    data = pictures.png((40, 40), bytes(41 * 40), extra=notes + b"\0\0\0\x04iCCPxxxxcrc!")
    assert decode(data).pixels.max() == 0


def test_what_follows_a_jpeg_does_not_matter() -> None:
    """The film of a motion photo, or the second picture of an MPO, is not looked at."""
    data = picture(kind="JPEG")
    np.testing.assert_array_equal(decode(data + b"\xff\xda\0\x02" * 500).pixels, decode(data).pixels)


def test_mpo_is_read_as_jpeg() -> None:
    """The several pictures that phones put into one JPEG count as the first of them."""
    first, second = (Image.fromarray(pixels(seed)) for seed in (5, 6))
    image = decode(saved(first, "MPO", save_all=True, append_images=[second]))
    assert image.format == "JPEG"
    assert np.abs(image.pixels.astype(int) - pixels(5)).mean() < 12


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    """GIF, WebP and APNG give their first frame."""
    np.testing.assert_array_equal(decode(pictures.animation(kind)).pixels[20, 20], (255, 0, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode: str) -> None:
    """What is transparent becomes white, what is half transparent half white, whatever its hidden colour."""
    image = Image.new(mode, (40, 40), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    image.paste((0, 0, 0, 128) if mode == "RGBA" else (0, 128), (20, 0, 40, 40))
    decoded = decode(saved(image)).pixels
    np.testing.assert_array_equal(decoded[5, 5], (255, 255, 255))
    np.testing.assert_allclose(decoded[5, 30], (127, 127, 127), atol=1)


@pytest.mark.parametrize(("kind", "transparency"), [("PNG", 1), ("PNG", bytes((255, 0))), ("GIF", 1)])
def test_a_transparent_palette_entry_is_white(kind: str, transparency: int | bytes) -> None:
    """A palette picture's transparent entry becomes white, and its other entries keep their colours."""
    image = Image.new("P", (40, 40), 0)
    image.putpalette([200, 0, 0, 0, 0, 0, 9, 9, 9])
    image.paste(1, (20, 0, 40, 40))
    decoded = decode(saved(image, kind, transparency=transparency)).pixels
    np.testing.assert_array_equal(decoded[5, 30], (255, 255, 255))
    np.testing.assert_array_equal(decoded[5, 5], (200, 0, 0))


def test_a_transparent_key_colour_is_white() -> None:
    """PNG's third way of transparency, a key colour in grey or RGB, becomes white too."""
    rgb = pictures.png(
        (40, 1), b"\0" + bytes((9, 8, 7)) * 40, colour=2, extra=pictures.png_chunk(b"tRNS", b"\0\x09\0\x08\0\x07")
    )
    deep = pictures.png((40, 1), b"\0" + b"\x12\x34" * 40, depth=16, extra=pictures.png_chunk(b"tRNS", b"\x12\x34"))
    assert decode(rgb).pixels.min() == decode(deep).pixels.min() == 255


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    """A 16-bit grey ramp becomes an 8-bit grey ramp from black to white."""
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    decoded = decode(saved(Image.fromarray(np.tile(ramp, (40, 1))))).pixels
    np.testing.assert_allclose(decoded[0, :, 0], np.arange(256), atol=1)


def test_cmyk_has_its_colours() -> None:
    """A CMYK JPEG, whose inks Adobe stores inverted, does not come out as its negative."""
    red = Image.new("RGB", (40, 40), (230, 20, 20)).convert("CMYK")
    np.testing.assert_allclose(decode(saved(red, "JPEG", quality=95)).pixels[20, 20], (230, 20, 20), atol=12)


@pytest.mark.parametrize(("mode", "kind"), [("1", "PNG"), ("1", "BMP"), ("L", "JPEG"), ("L", "GIF"), ("P", "BMP")])
def test_every_mode_becomes_rgb(mode: str, kind: str) -> None:
    """Black and white, grey and palettes become RGB with the same look."""
    expected = Image.fromarray(pixels()).convert(mode).convert("RGB")
    assert np.abs(decode(picture(kind=kind, mode=mode)).pixels.astype(int) - np.asarray(expected)).mean() < 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1100, 1200), (515, 3000)])
def test_large_pictures_are_reduced(kind: str, size: tuple[int, int]) -> None:
    """The short side stays between the working side and its double; width and height are still the file's."""
    options: dict[str, Any] = {"method": 0} if kind == "WEBP" else {}
    image = decode(picture(7, size, kind, **options))
    assert (image.width, image.height) == size
    height, width, _ = image.pixels.shape
    assert WORKING_SIDE <= min(width, height) < 2 * WORKING_SIDE
    assert width / height == pytest.approx(size[0] / size[1], rel=0.01)


def test_reducing_leaves_no_seams() -> None:
    """Tile by tile gives what reducing the whole picture at once gives."""
    data = picture(8, (3300, 2700), "BMP", mode="L")
    whole = Image.open(io.BytesIO(data)).convert("RGB").reduce(2700 // WORKING_SIDE)
    np.testing.assert_array_equal(decode(data).pixels, np.asarray(whole))


def test_very_long_pictures_work() -> None:
    """A strip of 30 x 20,000 pixels goes all the way through."""
    image = decode(picture(9, (30, 20_000), "PNG"))
    assert (image.width, image.height) == (30, 20_000)
    for fit in ("squash", "pad"):
        assert prepare(image, Preprocessing(fit=fit)).shape == (3, 224, 224)
    assert Image.open(io.BytesIO(thumbnail(image))).size == (1, 256)
    assert 0 <= perceptual_hash(image) < 2**64


def test_decoding_is_deterministic_across_threads() -> None:
    """The same bytes give the same pixels, also when many threads decode at once."""
    files = [picture(seed, (600, 1100), kind) for seed in range(2) for kind in ("JPEG", "PNG", "GIF")]
    alone = [decode(data).pixels for data in files]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone * 3, pool.map(decode, files * 3), strict=True):
            np.testing.assert_array_equal(one, other.pixels)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_worst_cases_stay_within_memory() -> None:
    """The largest accepted WebP, the format that needs most, takes less than 300 MB on top of the process."""
    program = (
        "import re, sys; from pathlib import Path; from recommender.images import decode\n"
        "data = sys.stdin.buffer.read()\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]) * 1024\n"
        "before = peak(); decode(data); print(peak() - before)"
    )
    data = saved(Image.new("RGBA", (3872, 3872), (9, 9, 9, 99)), "WEBP", lossless=True, method=0, quality=0)
    run = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    assert 3872 * 3872 * 4 < int(run.stdout) < 300e6


def _hostile() -> st.SearchStrategy[bytes]:
    """Random bytes, and real files with a few bytes changed, cut out or put in."""
    seeds = [picture(kind=kind) for kind in KINDS] + [pictures.animation(kind) for kind in ("GIF", "WEBP", "PNG")]
    seeds += [pictures.oriented(6), picture(kind="JPEG", progressive=True), picture(kind="BMP", mode="P")]
    seeds += [picture(mode="CMYK", kind="JPEG"), picture(mode="P"), picture(mode="RGBA")]
    edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=6)), min_size=1, max_size=6)

    def edited(seed: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
        for place, cut, insert in changes:
            # The square brings most changes to the front, where the headers are.
            at = int(place * place * len(seed))
            seed = seed[:at] + insert + seed[at + cut :]
        return seed

    return st.one_of(
        st.binary(max_size=300),
        st.builds(bytes.__add__, st.sampled_from([seed[:16] for seed in seeds]), st.binary(max_size=200)),
        st.builds(edited, st.sampled_from(seeds), edits),
    )


@settings(max_examples=600, deadline=2000)
@given(_hostile())
def test_nothing_but_invalid_image_is_ever_raised(data: bytes) -> None:
    """Whatever the bytes, the answer is a picture or one sentence."""
    try:
        image = decode(data)
    except InvalidImage as error:
        assert "\n" not in str(error)  # noqa: PT017  # either outcome is right
        assert len(str(error)) > 20  # noqa: PT017
    else:
        assert image.pixels.shape[2] == 3


def test_prepare_normalises() -> None:
    """A white picture becomes (1 - mean) / std in each channel, as float32, channels first, contiguous."""
    planes = prepare(decode(saved(Image.new("RGB", (50, 30), "white"))), Preprocessing(size=8))
    assert planes.shape == (3, 8, 8)
    assert planes.dtype == np.float32
    assert planes.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(
        planes[:, 4, 4], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-5
    )


def test_pad_keeps_proportions() -> None:
    """A wide black picture lies in the middle of a white square, half as high as wide."""
    planes = prepare(decode(saved(Image.new("RGB", (80, 40)))), Preprocessing(8, "pad", mean=(0, 0, 0), std=(1, 1, 1)))
    np.testing.assert_allclose(planes[0, :, 4], [1, 1, 0, 0, 0, 0, 1, 1], atol=1e-6)


def test_prepare_resizes_with_antialiasing() -> None:
    """A fine chequerboard becomes even grey, not a coarse pattern."""
    board = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    planes = prepare(decode(saved(Image.fromarray(board))), Preprocessing(20, mean=(0, 0, 0), std=(1, 1, 1)))
    np.testing.assert_allclose(planes[:, 2:-2, 2:-2], 0.5, atol=0.03)


def test_preprocessing_survives_json() -> None:
    """What is written into a model's folder is read back, and differs in its description where it differs."""
    other = Preprocessing(96, "pad", "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert Preprocessing.from_json(json.loads(json.dumps(other.to_json()))) == other
    assert other.describe != Preprocessing().describe
    assert Preprocessing().describe == ("decode448-squash224-bicubic-mean0.485,0.456,0.406-std0.229,0.224,0.225")


def test_thumbnails_fit_and_never_grow() -> None:
    """A thumbnail keeps its proportions within the square; a small picture keeps its size. It carries no notes."""
    large = Image.open(io.BytesIO(thumbnail(decode(pictures.oriented(6, (800, 400))), 100)))
    assert (large.format, large.size) == ("JPEG", (50, 100))
    assert not large.getexif()
    assert Image.open(io.BytesIO(thumbnail(decode(picture(size=(40, 30))), 100))).size == (40, 30)


def test_perceptual_hash_is_that_of_gradients() -> None:
    """Brightness that falls from left to right sets every bit; that rises, none."""
    ramp = np.tile(np.linspace(255, 0, 90).astype(np.uint8), (80, 1))
    assert perceptual_hash(decode(saved(Image.fromarray(ramp)))) == 2**64 - 1
    assert perceptual_hash(decode(saved(Image.fromarray(ramp[:, ::-1])))) == 0


def test_perceptual_hash_survives_scaling_and_compression() -> None:
    """A smaller JPEG of a picture differs in few bits, another picture in many."""
    original, small, other = (
        perceptual_hash(decode(data))
        for data in (picture(11, (600, 500)), picture(11, (300, 250), "JPEG", quality=60), picture(12, (600, 500)))
    )
    assert (original ^ small).bit_count() <= 4
    assert (original ^ other).bit_count() > 12
