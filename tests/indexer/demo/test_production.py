"""`indexer.demo.production`: whoever draws a picture, and whenever, it is the same one, and it is there as a whole."""

from __future__ import annotations

import errno
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import pytest

from indexer.demo.identity import random_identity
from indexer.demo.production import Order, carry_out, dice_of, write_whole
from indexer.demo.style import random_style
from recommender.errors import BuildError

pytestmark = pytest.mark.slow


def _orders(folder: Path, count: int) -> list[Order]:
    """Order pictures of one character."""
    style, identity = random_style(dice_of("style")), random_identity(dice_of("identity"))
    return [Order(folder / "show" / f"{number}.jpg", style, identity, str(number)) for number in range(count)]


def _files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_dice_fall_by_their_text_alone() -> None:
    """They are Python's, seeded with the SHA-256 of the text: no hash that differs from process to process.

    The first fall is `random.Random(int(sha256(text).hexdigest(), 16)).random()`, as another Python gave it.
    """
    assert dice_of("0/library/show/hero/1").random() == 0.9130643675947785
    assert dice_of("a").random() != dice_of("b").random()


def test_one_process_or_two_in_any_order_draw_the_same(tmp_path: Path) -> None:
    """Each picture is byte for byte the same, differs from the others, and progress counts up to all of them."""
    assert list(carry_out(_orders(tmp_path / "one", 5), 1)) == [1, 2, 3, 4, 5]
    assert list(carry_out(_orders(tmp_path / "two", 5)[::-1], 2)) == [1, 2, 3, 4, 5]
    assert _files(tmp_path / "one") == _files(tmp_path / "two")
    assert len(set(_files(tmp_path / "one").values())) == 5
    assert all(order.is_done for order in _orders(tmp_path / "two", 5))


def test_nothing_ordered_is_nothing_done(tmp_path: Path) -> None:
    """Without orders no process is started, and no folder made."""
    assert list(carry_out([])) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["gone", "empty", "cut off", "zeros at the end"])
def test_a_picture_that_a_power_cut_spoilt_is_not_done(tmp_path: Path, damage: str) -> None:
    """What is missing, empty or ends otherwise than a JPEG does counts as not there."""
    (order,) = _orders(tmp_path, 1)
    list(carry_out([order]))
    data = order.file.read_bytes()
    assert order.is_done
    if damage == "gone":
        order.file.unlink()
    else:
        order.file.write_bytes({"empty": b"", "cut off": data[:-5], "zeros at the end": data[:-9] + bytes(9)}[damage])
    assert not order.is_done


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full in the middle of a file, the old one stays and nothing lies beside it."""
    file = tmp_path / "a.jpg"
    write_whole(file, b"old")
    write = Path.write_bytes

    def fail(path: Path, data: bytes) -> int:
        write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, b"new and longer")
    assert _files(tmp_path) == {"a.jpg": b"old"}


@pytest.mark.parametrize("processes", [1, 2])
def test_what_a_process_cannot_write_is_told_by_its_reason(tmp_path: Path, processes: int) -> None:
    """An error in a process of its own arrives as what it was, and ends the others."""
    (tmp_path / "show").write_text("in the way")
    with pytest.raises(FileExistsError) as caught:
        list(carry_out(_orders(tmp_path, 3), processes))
    assert caught.value.strerror == "File exists"
    assert multiprocessing.active_children() == []


def _carry_out_among_killers(orders: Sequence[Order]) -> None:
    """Draw, and kill all processes that do as soon as there is a picture."""
    for done in carry_out(orders, 2):
        assert done < len(orders)
        for process in multiprocessing.active_children():
            process.kill()


@pytest.mark.slow
def test_a_process_that_dies_is_one_line(tmp_path: Path) -> None:
    """Processes that are killed for lack of memory end the job with what to do next; what was drawn is whole."""
    orders = _orders(tmp_path, 60)
    with pytest.raises(BuildError, match=r"ended unexpectedly .*: run it again, it goes on where it stopped"):
        _carry_out_among_killers(orders)
    there = [order for order in orders if order.file.exists()]
    assert 0 < len(there) < 60
    assert all(order.is_done for order in there)
