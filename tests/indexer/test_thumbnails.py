"""`indexer.thumbnails`: each carries its checksum; whatever damages one is found, and only that is made anew."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.thumbnails import HEAD, LOST, ThumbnailShelf, stamped
from recommender.images import decode, thumbnail
from recommender.types import DecodedImage, PictureId
from tests.indexer.homes import PICTURES, Home
from tests.pictures import picture

CHECKSUM = len(stamped(b""))


def thumbnails(home: Home) -> list[Path]:
    """Return the files of all thumbnails."""
    return sorted((home.settings.home / "thumbnails").glob("*/*.jpg"))


def without_checksum(data: bytes) -> bytes:
    """Return a thumbnail as it was made before it had one."""
    return data[:HEAD] + data[HEAD + CHECKSUM :]


@pytest.fixture
def image() -> DecodedImage:
    """Return a picture of some size."""
    return decode(picture(3, size=(300, 200)))


def shelved(folder: Path, image: DecodedImage) -> Path:
    """Make a thumbnail and return its file."""
    shelf = ThumbnailShelf(folder)
    shelf.add(image)
    shelf.flush()
    (file,) = folder.glob("*/*.jpg")
    return file


def doubted(folder: Path, picture: PictureId) -> bool:
    """Tell whether whoever reads every thumbnail wants that of a picture anew."""
    return ThumbnailShelf(folder, doubtful=True).wants(picture)


def test_a_checksum_is_in_nobodys_way(tmp_path: Path, image: DecodedImage) -> None:
    """A thumbnail is the JPEG that it would be without, of which any reader sees the same pixels."""
    file = shelved(tmp_path, image)
    bare = thumbnail(image)
    assert without_checksum(file.read_bytes()) == bare
    with Image.open(file) as seen, Image.open(io.BytesIO(bare)) as expected:
        assert np.array_equal(np.asarray(seen), np.asarray(expected))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [file.name]
    assert not doubted(tmp_path, image.id)


def test_every_changed_byte_is_found(tmp_path: Path, image: DecodedImage) -> None:
    """One bit anywhere, those of the checksum itself included; bytes that became zeros, were cut off or came on top."""
    file = shelved(tmp_path, image)
    good = file.read_bytes()
    for position in range(len(good)):
        file.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        assert doubted(tmp_path, image.id), position
    for start in range(0, len(good) - 40, 7):
        file.write_bytes(good[:start] + bytes(40) + good[start + 40 :])
        assert doubted(tmp_path, image.id), start
    for other in (b"", good[:10], good[:HEAD], good[: HEAD + 9], good[:-1], good + b"\0", bytes(len(good))):
        file.write_bytes(other)
        assert doubted(tmp_path, image.id), other[:30]


def test_one_of_before_is_whole_if_it_decodes(tmp_path: Path, image: DecodedImage) -> None:
    """Where there is no checksum, what was cut, lost a page or cannot be decoded is found, and nothing else."""
    file = shelved(tmp_path, image)
    good = without_checksum(file.read_bytes())
    file.write_bytes(good)
    assert not doubted(tmp_path, image.id)
    middle = len(good) // 2
    for bad in (good[:-9], good[:middle] + LOST + good[middle + len(LOST) :], good[: HEAD + 2] + good[-2:]):
        file.write_bytes(bad)
        assert doubted(tmp_path, image.id), len(bad)


def test_a_damaged_one_that_still_decodes_is_found_and_made_anew(home: Home) -> None:
    """Forty bytes of zeros change what is shown and no reader minds: verify does, and --full makes that one anew."""
    file, *others = thumbnails(home)
    good = file.read_bytes()
    file.write_bytes(good[:-50] + bytes(40) + good[-10:])
    decode(file.read_bytes())
    (finding,) = home.verify().findings
    assert f"1 thumbnails are missing or damaged (the first is that of {file.stem})" in finding
    made = {other: other.stat().st_mtime_ns for other in others}
    report = home.reindex(full=True)
    assert (file.read_bytes(), report.embedded) == (good, 0)
    assert {other: other.stat().st_mtime_ns for other in others} == made
    assert home.verify().findings == ()


def test_those_of_before_stay_as_they_are(home: Home) -> None:
    """Neither a reindex, nor one with --full, makes a whole thumbnail anew because it has no checksum."""
    files = thumbnails(home)
    for file in files:
        file.write_bytes(without_checksum(file.read_bytes()))
    before = {file: file.read_bytes() for file in files}
    assert len(before) == PICTURES
    assert home.verify().findings == ()
    home.reindex()
    home.reindex(full=True)
    assert {file: file.read_bytes() for file in files} == before


def test_those_of_pictures_that_left_are_looked_at_too(home: Home) -> None:
    """An earlier snapshot may be served again: damage is found, and mended by removing what cannot be made anew."""
    picture = home.root / "show-0/hero-0/0.png"
    with home.catalogue() as catalogue:
        (gone,) = (row.id for row in catalogue.pictures() if row.path == "show-0/hero-0/0.png")
    data = picture.read_bytes()
    picture.unlink()
    home.reindex()
    assert home.verify().findings == ()
    (file,) = (file for file in thumbnails(home) if file.stem == gone)
    good = file.read_bytes()
    file.write_bytes(good[:-50] + bytes(40) + good[-10:])
    (finding,) = home.verify().findings
    assert f"1 thumbnails of pictures that left the library are damaged (the first is {file}): remove them" in finding
    file.unlink()
    assert home.verify().findings == ()
    home.put("show-0/hero-0/0.png", data)
    home.reindex()
    assert file.read_bytes() == good
