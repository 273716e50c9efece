"""`indexer.embed`: what was embedded once is kept, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.embed import BATCH, FLUSHED_EVERY, EmbeddingTable, StoredVectors, examine, kept
from recommender.embeddings import EmbeddingSpace
from recommender.errors import BuildError, Busy, Corrupt, SpaceMismatch
from recommender.types import Matrix, PictureId
from tests.indexer.disks import full_disk

SPACE = EmbeddingSpace("toy", weights="0" * 64, layer="penultimate", preprocessing="none", dimension=6)
RECORD = 32 + 4 + 4 * SPACE.dimension
_FORKING = multiprocessing.get_context("forkserver")


def _id(number: int) -> PictureId:
    return PictureId(hashlib.sha256(str(number).encode()).hexdigest())


def _rows(numbers: Sequence[int]) -> Matrix:
    """Return features that can be told from their picture's number alone."""
    return np.stack([np.random.default_rng(number).random(SPACE.dimension, np.float32) for number in numbers])


def _append(table: EmbeddingTable, numbers: Sequence[int]) -> None:
    table.append([_id(number) for number in numbers], _rows(numbers))


def _file(home: Path) -> Path:
    return home / "embeddings" / SPACE.unprojected.fingerprint / "rows.bin"


def _require_whole(home: Path) -> int:
    """Assert that the table is the first n records, each once and each right; return n."""
    with EmbeddingTable.open(home, SPACE) as table:
        count = len(table)
        assert _file(home).stat().st_size == count * RECORD
        numbers = range(count)
        if count:
            assert np.array_equal(table.features([_id(number) for number in numbers])[:], _rows(numbers))
    return count


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    """Features come back bit for bit, in the order asked for, from the open table and from one opened later."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        assert len(table) == 0
        assert table.features([])[:].shape == (0, SPACE.dimension)
        _append(table, [1, 2])
        _append(table, [3])
        assert np.array_equal(table.features([_id(3), _id(1)])[:], _rows([3, 1]))
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        assert len(table) == 3
        assert _id(2) in table
        assert _id(4) not in table
        assert np.array_equal(table.features([_id(1), _id(2), _id(3)])[:], _rows([1, 2, 3]))
        with pytest.raises(KeyError):
            table.features([_id(1), _id(4)])


def test_embeddings_are_made_of_features_when_they_are_read(tmp_path: Path) -> None:
    """One table serves every projection of its features: each embedding is what its space makes of them."""
    pictures, plain = [_id(2), _id(1), _id(2)], replace(SPACE, projection="none")
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, [1, 2])
    with EmbeddingTable.open(tmp_path, plain) as table:
        assert len(table) == 2
        for space in (SPACE, plain):
            assert np.array_equal(table.embeddings(pictures, space)[:], space.embed(_rows([2, 1, 2])))
        with pytest.raises(KeyError):
            table.embeddings([_id(3)], SPACE)
    assert len(list((tmp_path / "embeddings").iterdir())) == 1


@pytest.mark.parametrize("other", [replace(SPACE, weights="1" * 64), replace(SPACE, dimension=7)])
def test_embeddings_of_another_space_are_refused(tmp_path: Path, other: EmbeddingSpace) -> None:
    """What one network gave is never taken for what another would give."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, [1])
        with pytest.raises(SpaceMismatch, match=other.fingerprint):
            table.embeddings([_id(1)], other)


class _Watched:
    """Stands in for a mapped file, and notes which of its rows were read."""

    def __init__(self, rows: Matrix) -> None:
        self._rows = rows
        self.shape = rows.shape
        self.read: list[list[int]] = []

    def __getitem__(self, rows: NDArray[np.int64]) -> Matrix:
        self.read.append(rows.tolist())
        return self._rows[rows]


def test_stored_vectors_are_read_only_as_far_as_they_are_asked_for() -> None:
    """Neither length nor shape reads anything; a slice or some positions read their rows, projected, and no others."""
    watched = _Watched(_rows(range(5)))
    vectors = StoredVectors(watched, np.array([4, 2, 0, 2]), lambda rows: -rows)
    assert (len(vectors), vectors.shape) == (4, (4, SPACE.dimension))
    assert watched.read == []
    assert np.array_equal(vectors[1:3], -_rows([2, 0]))
    assert np.array_equal(vectors[np.array([3, 0])], -_rows([2, 4]))
    assert watched.read == [[2, 0], [2, 4]]


def test_stored_vectors_hold_while_the_table_grows(tmp_path: Path) -> None:
    """What was found before later pictures were embedded still reads the same rows."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(3))
        vectors = table.features([_id(2), _id(0)])
        _append(table, range(3, 400))
        assert np.array_equal(vectors[:], _rows([2, 0]))


def test_each_network_has_its_own_table(tmp_path: Path) -> None:
    """What one space knows, another does not."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, [1])
    with EmbeddingTable.open(tmp_path, replace(SPACE, weights="1" * 64)) as table:
        assert len(table) == 0


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    """A second writer is told that the table is busy; when the first is done the table can be had."""
    with EmbeddingTable.open(tmp_path, SPACE), pytest.raises(Busy, match=SPACE.unprojected.fingerprint):
        EmbeddingTable.open(tmp_path, SPACE)
    EmbeddingTable.open(tmp_path, SPACE).close()


def test_a_table_of_another_space_is_refused(tmp_path: Path) -> None:
    """The space is written beside the records; where it is another one, or damaged, nothing is read or written."""
    EmbeddingTable.open(tmp_path, SPACE).close()
    file = _file(tmp_path).parent / "space.json"
    written = file.read_text(encoding="utf-8")
    file.write_text(json.dumps(replace(SPACE, layer="another").to_json()), encoding="utf-8")
    with pytest.raises(SpaceMismatch, match=r"space\.json"):
        EmbeddingTable.open(tmp_path, SPACE)
    for damaged in ("", "[]", '{"backbone": "toy"}', written[:40]):
        file.write_text(damaged, encoding="utf-8")
        with pytest.raises(Corrupt, match=r"space\.json"):
            EmbeddingTable.open(tmp_path, SPACE)
    file.write_text(written, encoding="utf-8")
    EmbeddingTable.open(tmp_path, SPACE).close()


@pytest.mark.parametrize("cut", [1, 31, 35, RECORD - 1])
def test_a_torn_record_is_cut(tmp_path: Path, cut: int) -> None:
    """A record that was written in part is gone when the table is opened, and can be appended again."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(4))
    with _file(tmp_path).open("r+b") as stream:
        stream.truncate(4 * RECORD - cut)
    assert _require_whole(tmp_path) == 3
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, [3])
    assert _require_whole(tmp_path) == 4


@pytest.mark.parametrize("position", [0, 33, 40, RECORD - 1])
def test_a_flipped_bit_in_the_last_record_is_noticed(tmp_path: Path, position: int) -> None:
    """A bit that changed in the id, the checksum or the features takes the record out of the table."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(4))
    data = bytearray(_file(tmp_path).read_bytes())
    data[3 * RECORD + position] ^= 4
    _file(tmp_path).write_bytes(data)
    assert _require_whole(tmp_path) == 3


def test_good_records_behind_a_bad_one_stay(tmp_path: Path) -> None:
    """A power cut may keep a later page and lose an earlier one: only what is bad is taken out."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(9))
    data = bytearray(_file(tmp_path).read_bytes())
    for row in (3, 5, 8):
        data[row * RECORD : (row + 1) * RECORD] = bytes(RECORD)
    _file(tmp_path).write_bytes(data)
    kept = [0, 1, 2, 4, 6, 7]
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        assert len(table) == len(kept)
        assert np.array_equal(table.features([_id(number) for number in kept])[:], _rows(kept))


def test_every_record_can_be_checked(tmp_path: Path) -> None:
    """An examination names the rows whose checksum is wrong, wherever they are, and changes nothing."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(700))
    data = bytearray(_file(tmp_path).read_bytes())
    for row, position in ((0, 0), (350, 33), (699, RECORD - 1)):
        data[row * RECORD + position] ^= 1
    _file(tmp_path).write_bytes(bytes(data) + data[RECORD : 2 * RECORD] + b"torn")
    state = examine(_file(tmp_path).parent)
    assert (state.damaged, state.repeated, state.torn) == ((0, 350, 699), 1, 4)
    assert state.space == SPACE.unprojected
    assert state.pictures == {bytes.fromhex(_id(number)) for number in range(700) if number not in (0, 350, 699)}
    assert _file(tmp_path).stat().st_size == 701 * RECORD + 4


def test_a_bit_that_rots_in_the_middle_is_noticed_where_it_is_read(tmp_path: Path) -> None:
    """Opening checks only the end; what is to be published is checked as it is read, and nothing else stops there."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(700))
    data = bytearray(_file(tmp_path).read_bytes())
    data[5 * RECORD + 40] ^= 1
    _file(tmp_path).write_bytes(data)
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        good = table.checked_embeddings([_id(number) for number in (9, 4, 699)], SPACE)
        assert (len(good), good.shape) == (3, (3, SPACE.dimension))
        assert np.array_equal(good[1:], SPACE.embed(_rows([4, 699])))
        assert np.array_equal(good[np.array([2, 0])], SPACE.embed(_rows([699, 9])))
        bad = table.checked_embeddings([_id(number) for number in range(700)], SPACE)
        assert len(bad[6:]) == 694
        with pytest.raises(Corrupt, match="--full"):
            bad[:6]


def test_what_is_useless_is_removed(tmp_path: Path) -> None:
    """Damaged records go, and all but the last of a picture's: then nothing is left to be found."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(400))
        _append(table, [7, 7])
    data = bytearray(_file(tmp_path).read_bytes())
    data[5 * RECORD + 40] ^= 1
    _file(tmp_path).write_bytes(data)
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        assert table.remove_damaged() == 3
        kept = [number for number in range(400) if number != 5]
        assert np.array_equal(table.features([_id(number) for number in kept])[:], _rows(kept))
    state = examine(_file(tmp_path).parent)
    assert (state.damaged, state.repeated, len(state.pictures)) == ((), 0, 399)


def test_what_a_table_holds_is_told_without_opening_it(tmp_path: Path) -> None:
    """The ids are those of the table once it is opened, or with every byte read once it is cleaned; nothing is made."""
    assert kept(tmp_path, SPACE) == frozenset()
    assert not list(tmp_path.iterdir())
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(700))
        assert len(kept(tmp_path, SPACE)) == 700  # also while it is being written
    data = bytearray(_file(tmp_path).read_bytes())
    for row in (5, 690, 699):
        data[row * RECORD + 40] ^= 1
    _file(tmp_path).write_bytes(data + b"torn")
    told, cleaned = kept(tmp_path, SPACE), kept(tmp_path, SPACE, every_byte=True)
    assert _file(tmp_path).read_bytes() == data + b"torn"
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        assert told == {bytes.fromhex(_id(number)) for number in range(700) if _id(number) in table}
        assert len(told) == 698
        table.remove_damaged()
        assert cleaned == {bytes.fromhex(_id(number)) for number in range(700) if _id(number) in table}
        assert len(cleaned) == 697


def test_what_was_not_flushed_is_all_that_a_power_cut_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was written after the last fsync any page may be zeros or missing; all before it is read again."""
    flushed: list[int] = []

    def noted(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", noted)
    table = EmbeddingTable.open(tmp_path, SPACE)
    for start in range(0, 1000, BATCH):
        _append(table, range(start, min(start + BATCH, 1000)))
    safe, written = flushed[-1], _file(tmp_path).read_bytes()
    assert 1000 - FLUSHED_EVERY - BATCH <= safe // RECORD < 1000
    table.close()
    moments = np.random.default_rng(0)
    for _ in range(20):
        data = bytearray(written[: moments.integers(safe, len(written) + 1)])
        for page in range(safe, len(data), 512):
            if moments.random() < 0.5:
                data[page : page + 512] = bytes(len(data[page : page + 512]))
        _file(tmp_path).write_bytes(data)
        with EmbeddingTable.open(tmp_path, SPACE) as opened:
            known = [number for number in range(1000) if _id(number) in opened]
            assert known[: safe // RECORD] == list(range(safe // RECORD))
            assert np.array_equal(opened.features([_id(number) for number in known])[:], _rows(known))
            assert len(opened) == len(known)


def _append_for_ever(home: Path) -> None:
    """Append batches of one to twenty until the process is killed."""
    with EmbeddingTable.open(home, SPACE) as table:
        start = len(table)
        while True:
            stop = start + 1 + start % 20
            _append(table, range(start, stop))
            start = stop


@pytest.mark.slow
def test_a_killed_process_loses_nothing_that_was_whole(tmp_path: Path) -> None:
    """After kill -9 in the middle of appending the table opens, and holds every whole record once and right."""
    moments = np.random.default_rng(0)
    counts = [0]
    for _ in range(6):
        process = _FORKING.Process(target=_append_for_ever, args=(tmp_path,))
        process.start()
        deadline = time.monotonic() + 60
        while not _file(tmp_path).exists() or _file(tmp_path).stat().st_size <= counts[-1] * RECORD:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.join()
        counts.append(_require_whole(tmp_path))
    assert counts == sorted(set(counts))


def test_a_full_disk_is_one_line_and_leaves_the_table_usable(tmp_path: Path) -> None:
    """Where the disk is full the error names file and remedy, and the table is as it was before the append.

    Once there is room the same table goes on.
    """
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(2))
        with (
            pytest.raises(BuildError, match=r"rows\.bin cannot grow \(File too large\): make room") as caught,
            full_disk(4 * RECORD + 5),
        ):
            _append(table, range(2, 9))
        assert "\n" not in str(caught.value)
        _append(table, range(2, 5))
        assert np.array_equal(table.features([_id(4)])[:], _rows([4]))
    assert _require_whole(tmp_path) == 5


def test_removed_records_are_gone_from_the_file(tmp_path: Path) -> None:
    """A record that is removed leaves no byte; the others are read as before, and more can be appended."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(600))
        assert table.remove([_id(0), _id(299), _id(599), _id(1000)]) == 3
        assert table.remove([_id(0)]) == 0
        assert len(table) == 597
        assert _id(299) not in table
        kept = [number for number in range(600) if number not in (0, 299, 599)]
        assert np.array_equal(table.features([_id(number) for number in kept])[:], _rows(kept))
        _append(table, [2000])
    assert bytes.fromhex(_id(299)) not in _file(tmp_path).read_bytes()
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        assert np.array_equal(table.features([_id(1), _id(598), _id(2000)])[:], _rows([1, 598, 2000]))


def test_a_full_disk_removes_nothing(tmp_path: Path) -> None:
    """Where the table cannot be written anew it stays as it is, and one sentence says so."""
    with EmbeddingTable.open(tmp_path, SPACE) as table:
        _append(table, range(600))
        with full_disk(1000), pytest.raises(BuildError, match="make room"):
            table.remove([_id(0)])
        assert len(table) == 600
        assert not list(_file(tmp_path).parent.glob("*.aside"))
