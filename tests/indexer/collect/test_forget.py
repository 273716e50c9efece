"""`indexer.collect.forget`: what is forgotten on demand is gone everywhere, and stays away."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.gallery import GalleryServer, picture
from indexer.collect.collect import collect
from indexer.collect.forget import ForgetReport, comes_from, forget
from indexer.collect.journal import FOLDER, Journal
from indexer.collect.report import SourceReport
from indexer.collect.sources import read_sources
from indexer.embed import EmbeddingTable
from indexer.holding import held
from indexer.library import scan
from indexer.listing import Reject
from indexer.reindex import without_forgotten
from indexer.workplace import workplace
from recommender.catalogue import Catalogue, CollectedRow
from recommender.errors import BadLibrary, BuildError, Busy, NoSnapshot, NotFound
from recommender.snapshots import open_snapshot
from recommender.types import PictureId
from tests.fakes import SPACE
from tests.indexer.collect.clocks import QuickClock
from tests.indexer.collect.places import Host, Place, image, page
from tests.pictures import saved
from tests.web.world import World, build

pytestmark = pytest.mark.slow

SITE = "https://gallery.example"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a published world whose first eight pictures came from one site, with an embedding and a view of each."""
    world = build(tmp_path)
    rows = [
        CollectedRow(
            row.library, row.path, row.id, f"{SITE}/{number}.png", f"{SITE}/page.html", "s", "2026-01-01T00:00:00Z", 200
        )
        for number, row in enumerate(world.pictures[:8])
    ]
    for row in world.pictures[:8]:
        (Path(row.library) / f"{row.path}.json").write_text("{}")
    with workplace(world.settings, "collect") as catalogue:
        catalogue.remember_collected(rows)
    with EmbeddingTable.open(world.settings.home, SPACE) as table:
        identities = [row.id for row in world.pictures]
        views = [_view(identity) for identity in identities]
        table.append([*identities, *views], np.ones((2 * len(identities), SPACE.dimension), np.float32))
    return world


def _view(picture: str) -> PictureId:
    return PictureId(hashlib.sha256(f"{picture} augmented-1-1".encode()).hexdigest())


@contextmanager
def _catalogue(world: World) -> Iterator[Catalogue]:
    with workplace(world.settings, "forget") as catalogue:
        yield catalogue


def _forget(world: World, *, source: str = "", picture: str = "", dry_run: bool = False) -> ForgetReport:
    with _catalogue(world) as catalogue:
        return forget(world.settings, catalogue, source=source, picture=picture, dry_run=dry_run)


def test_a_picture_is_gone_everywhere(world: World) -> None:
    """File, sidecar, rows, embedding with its views, thumbnail and index entry go; the hash stays."""
    gone, *others = world.pictures
    report = _forget(world, picture=gone.id)
    assert report.pictures == (gone.id,)
    assert (report.embeddings, report.thumbnails, report.snapshots) == (2, 1, ("s1",))
    assert not (world.library / gone.path).exists()
    assert not (world.library / f"{gone.path}.json").exists()
    home = world.settings.home
    assert not list(home.glob(f"thumbnails/*/{gone.id}*"))
    with _catalogue(world) as catalogue:
        assert catalogue.picture_ids() == {row.id for row in others}
        assert catalogue.collected(gone.id) == []
        assert catalogue.forgotten() == {gone.id}
        published = catalogue.published()
        assert [info.id for info in catalogue.snapshots()] == [published.id] == [report.snapshot]
    snapshot = open_snapshot(home / "snapshots" / published.id, published.digest)
    assert {snapshot.picture(row) for row in range(len(snapshot.pictures))} == {row.id for row in others}
    assert not (home / "snapshots" / "s1").exists()
    with EmbeddingTable.open(home, SPACE) as table:
        assert len(table) == 2 * len(others)
        assert gone.id not in table
        assert _view(gone.id) not in table
    assert not [file for file in home.rglob("*") if file.is_file() and bytes.fromhex(gone.id) in file.read_bytes()]


def test_the_others_are_served_as_before(world: World) -> None:
    """The new snapshot gives the same vectors, characters and shows for what is left, and a server opens it."""
    with _catalogue(world) as catalogue:
        before = open_snapshot(world.settings.home / "snapshots" / "s1", catalogue.published().digest)
        vectors = {before.picture(row): before.index.vector(row) for row in range(len(before.pictures))}
    _forget(world, picture=world.pictures[3].id)
    with world.publication() as publication:
        after = publication.current().snapshot
        assert after.roster == before.roster
        assert len(after.pictures) == len(before.pictures) - 1
        for row in range(len(after.pictures)):
            assert np.array_equal(after.index.vector(row), vectors[after.picture(row)])


def test_all_of_a_site_goes(world: World) -> None:
    """What came from addresses, or pages, that begin with the source goes; characters that lose all go as well."""
    report = _forget(world, source=SITE)
    assert set(report.pictures) == {row.id for row in world.pictures[:8]}
    assert len(report.files) == 8
    with _catalogue(world) as catalogue:
        assert catalogue.picture_ids() == {row.id for row in world.pictures[8:]}
        assert catalogue.counts().characters == 3
        assert catalogue.collected() == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_where_a_redirect_led_counts(world: World, dry_run: bool) -> None:
    """A picture whose address led to another host goes with that host; the others of its own host stay."""
    gone = world.pictures[3]
    sidecar = world.library / f"{gone.path}.json"
    sidecar.write_text(json.dumps({"served_by": "http://cdn.example/3.png"}))
    assert _forget(world, source="http://cdn.example/", dry_run=dry_run).pictures == (gone.id,)
    assert sidecar.exists() is dry_run


@pytest.mark.parametrize("source", ["h", "http", "https://", "://x", "file:", "gallery.example", "http://["])
def test_a_source_has_to_name_a_host(world: World, source: str) -> None:
    """A few letters would be the beginning of every address: they are refused."""
    with pytest.raises(BuildError, match="names no source"):
        _forget(world, source=source)


def test_reindexing_leaves_out_what_was_forgotten(world: World) -> None:
    """A forgotten picture that somebody copied back is a reject that says why, and nothing remembers its file."""
    gone = scan(world.library).entries[2]
    copy = world.library / Path(gone.path).with_name("zz-copy.png")
    copy.write_bytes((world.library / gone.path).read_bytes())
    library = scan(world.library)
    left = without_forgotten(library, {gone.id, "f" * 64})
    assert [entry.id for entry in left.entries] == [entry.id for entry in library.entries if entry.id != gone.id]
    assert Reject(gone.path, "forgotten on demand") in left.rejects
    assert Reject(copy.relative_to(world.library).as_posix(), "forgotten on demand") in left.rejects
    assert [row.path for row in left.files] == [entry.path for entry in left.entries]
    assert without_forgotten(library, set()) == library
    with pytest.raises(BadLibrary, match="forgotten on demand"):
        without_forgotten(library, {entry.id for entry in library.entries})


def test_no_file_of_the_catalogue_tells_where_it_came_from(world: World) -> None:
    """While a server has the catalogue open, neither it nor its log has the address of what is forgotten any more."""

    def told() -> list[bool]:
        address = f"{SITE}/1.png".encode()
        return [address in file.read_bytes() for file in world.settings.home.glob("catalogue.db*")]

    with Catalogue(world.settings.database_url) as server:
        server.published()
        assert True in told()
        _forget(world, source=f"{SITE}/1.png")
        assert len(told()) == 3, "the file, its log, and what readers share"
        assert True not in told()


def test_a_dry_run_removes_nothing(world: World) -> None:
    """What would go is said, and all of it is still there."""
    before = {file: file.read_bytes() for file in world.library.rglob("*.png")}
    report = _forget(world, source=SITE, dry_run=True)
    assert (len(report.pictures), len(report.files), report.snapshots) == (8, 8, ("s1",))
    assert {file: file.read_bytes() for file in world.library.rglob("*.png")} == before
    with _catalogue(world) as catalogue:
        assert catalogue.published().id == "s1"
        assert catalogue.forgotten() == set()


def test_a_dry_run_writes_nothing_into_a_library(world: World) -> None:
    """A library on a read-only disk will do, and one that is being collected into: no file in it is made or changed."""
    journal = Journal(world.library)
    journal.asked(f"{SITE}/1.png")
    journal.close()
    (world.library / FOLDER / "job.lock").mkdir()  # who wants to hold the library stumbles over it, as on such a disk
    before = {file: file.stat().st_mtime_ns for file in world.library.rglob("*")}
    assert len(_forget(world, source=f"{SITE}/1.png", dry_run=True).files) == 1
    assert {file: file.stat().st_mtime_ns for file in world.library.rglob("*")} == before
    with pytest.raises(BuildError, match=r"cannot be used \(.*\): make it writable"):
        _forget(world, source=f"{SITE}/1.png")


def test_copies_under_other_names_go_too(world: World) -> None:
    """A second copy of the same file, which no row knows of, is removed from the library as well."""
    gone = world.pictures[0]
    copy = world.library / "blue-hills" / "cat" / "copy.png"
    copy.write_bytes((world.library / gone.path).read_bytes())
    _forget(world, picture=gone.id)
    assert not copy.exists()


def _moved(world: World) -> Path:
    """Move the library, as somebody does who needs the room elsewhere."""
    for row in world.pictures[:8]:
        told = {"address": "x", "page": "", "source": "", "fetched": "", "status": 200, "etag": "", "licence": ""}
        told |= {"author": "", "sha256": row.id, "served_by": f"http://cdn.example/{row.id}"}
        (world.library / f"{row.path}.json").write_text(json.dumps(told))
    return world.library.rename(world.library.with_name("moved"))


@pytest.mark.parametrize("by", ["picture", "source", "redirect"])
def test_a_library_that_was_moved_is_named(world: World, by: str) -> None:
    """Files of a library that was moved are found where it is said to be now, whatever is asked to be forgotten."""
    gone = world.pictures[1]
    moved = _moved(world)
    source = {"source": f"{SITE}/1.png", "redirect": f"http://cdn.example/{gone.id}"}.get(by, "")
    picture = "" if source else gone.id
    with _catalogue(world) as catalogue:
        report = forget(world.settings, catalogue, source=source, picture=picture, moved=[moved])
    assert (report.pictures, report.files, report.missing) == ((gone.id,), (str(moved / gone.path),), ())
    assert not list(moved.glob(f"{gone.path}*"))
    assert len(list(moved.rglob("*.png"))) == len(world.pictures) - 1


def test_a_library_that_is_gone_is_said(world: World) -> None:
    """Without its new place the rest is forgotten all the same, the report says so, and it can be made good."""
    gone = world.pictures[1]
    moved = _moved(world)
    dry = _forget(world, picture=gone.id, dry_run=True)
    report = _forget(world, picture=gone.id)
    for one in (dry, report):
        assert one.missing == (str(world.library),)
        assert f"! {world.library} is not there" in one.to_text()
    assert report.snapshot == _published(world)
    assert (moved / gone.path).exists()
    with _catalogue(world) as catalogue:
        report = forget(world.settings, catalogue, picture=gone.id, moved=[moved])
    assert report.files == (str(moved / gone.path),)
    assert report.missing == ()
    with _catalogue(world) as catalogue, pytest.raises(BadLibrary, match="is not a folder"):
        forget(world.settings, catalogue, picture=gone.id, moved=[world.library])


def test_nothing_tells_of_a_picture_that_was_removed_by_hand(world: World) -> None:
    """Where the file is gone already, the file that says where it came from goes too; others' files of JSON stay."""
    gone = world.pictures[1]
    (world.library / gone.path).unlink()
    notes = world.library / "red-sea" / "ada" / "notes.json"
    notes.write_text('{"sha256": "x", "address": 3}')
    with _catalogue(world) as catalogue:
        report = forget(world.settings, catalogue, picture=gone.id, moved=[world.library])
    assert (report.files, report.missing) == ((), ())
    assert not (world.library / f"{gone.path}.json").exists()
    assert notes.exists()


def test_a_library_that_is_collected_into_waits(world: World) -> None:
    """While another home collects into a library nothing is forgotten there, and nothing anywhere else."""
    gone = world.pictures[1]
    journal = Journal(world.library)
    journal.asked(f"{SITE}/1.png")
    journal.close()
    with held(world.library / FOLDER, "collect", ""), pytest.raises(Busy, match="sokkuri collect"):
        _forget(world, source=f"{SITE}/1.png")
    assert (world.library / gone.path).exists()
    with _catalogue(world) as catalogue:
        assert catalogue.forgotten() == set()
    assert _forget(world, source=f"{SITE}/1.png").addresses == 1


def test_the_last_picture(world: World) -> None:
    """Where nothing is left to serve, nothing is published any more."""
    for row in world.pictures:
        report = _forget(world, picture=row.id)
    assert report.snapshot is None
    with _catalogue(world) as catalogue, pytest.raises(NoSnapshot):
        catalogue.published()


def test_older_snapshots_cannot_bring_it_back(world: World) -> None:
    """A rollback finds no snapshot with the picture, published or not."""
    with _catalogue(world) as catalogue:
        published = catalogue.published()
        folder = world.settings.home / "snapshots"
        (folder / "s0").mkdir()
        for file in (folder / "s1").iterdir():
            (folder / "s0" / file.name).write_bytes(file.read_bytes())
        catalogue.publish_without(replace(published, id="s0"))
        catalogue.republish("s1")
    assert set(_forget(world, picture=world.pictures[0].id).snapshots) == {"s0", "s1"}
    assert [one.name for one in folder.iterdir()] == [_published(world)]


def _published(world: World) -> str:
    with _catalogue(world) as catalogue:
        return catalogue.published().id


def test_what_is_not_known(world: World) -> None:
    """An id or a site that nothing came from is an error, and changes nothing."""
    with pytest.raises(NotFound, match="there is no picture"):
        _forget(world, picture="f" * 64)
    with pytest.raises(NotFound, match="nothing was collected from"):
        _forget(world, source="https://elsewhere.example")
    assert _published(world) == "s1"


@pytest.mark.parametrize(
    ("address", "prefix", "counts"),
    [
        ("https://a.example/x", "https://a.example", True),
        ("https://a.example:8080/x", "https://a.example", True),
        ("https://a.example.org/x", "https://a.example", False),
        ("https://a.example", "https://a.example", True),
        ("https://a.example/ann/1", "https://a.example/ann", True),
        ("https://a.example/anna/1", "https://a.example/ann/", False),
        ("http://a.example/x", "https://a.example", False),
        ("https://a.example/x", "", True),
        ("https://a.example/x", "HTTPS://A.Example:443/x", True),
        ("https://A.example:443/x", "https://a.example/", True),
        ("http://a.example:443/x", "http://a.example/x", False),
        ("https://a.example/x", "https://a.example/X", False),
        ("https://a.example:8443/x", "https://a.example:84", False),
    ],
)
def test_a_host_is_that_host_alone(address: str, prefix: str, counts: bool) -> None:
    """A prefix that ends within a host's name means no longer name; after that it is taken by its letters."""
    assert comes_from(address, prefix) is counts


def test_the_next_run_does_not_bring_it_back(tmp_path: Path) -> None:
    """A forgotten picture is neither asked for again nor kept from another address; no word of it stays but hashes."""
    world = build(tmp_path)
    settings = replace(world.settings, host_delay=0.0, private_networks="127.0.0.0/8")
    library = tmp_path / "collected"
    with GalleryServer(2, 8) as server:
        first = f"{server.hosts[0]}/p/0-1.jpg"
        (tmp_path / "copy.html").write_text(f'<img src="{server.hosts[1]}/p/0-1.jpg">')
        text = '[[source]]\nshow = "s"\ncharacter = "c"\npages = ["{}"]\n'
        (tmp_path / "one.toml").write_text(text.format(server.galleries[0]))
        (tmp_path / "two.toml").write_text(text.format("copy.html"))
        for name in ("one", "two"):
            with workplace(settings, "collect") as catalogue:
                collect(settings, catalogue, read_sources(tmp_path / f"{name}.toml"), library, clock=QuickClock())
                row = next(row for row in catalogue.collected() if row.address == first)
        with workplace(settings, "forget") as catalogue:
            forget(settings, catalogue, picture=row.picture)
        asked = len(server.paths)
        with workplace(settings, "collect") as catalogue:
            sources = (*read_sources(tmp_path / "one.toml"), *read_sources(tmp_path / "two.toml"))
            report_of_run = collect(settings, catalogue, sources, library, clock=QuickClock())
        assert [source.refused["forgotten on demand"] for source in report_of_run.sources] == [1, 1]
        assert "/p/0-1.jpg" not in server.paths[asked:]
        (tmp_path / "third.html").write_text(f'<img src="{server.hosts[1]}/p/0-1.jpg?again">')
        (tmp_path / "three.toml").write_text(text.format("third.html"))
        with workplace(settings, "collect") as catalogue:
            three = collect(settings, catalogue, read_sources(tmp_path / "three.toml"), library, clock=QuickClock())
        assert three.sources[0].refused["forgotten on demand"] == 1
    assert not list(library.rglob(f"{row.picture}*"))
    words = [file for file in library.rglob("*") if file.is_file() and first.encode() in file.read_bytes()]
    assert words == []


class _Smaller(BaseHTTPRequestHandler):
    """Serves half the size of the gallery's picture of the same path."""

    def log_message(self, *_: object) -> None:
        """Write no line to the terminal."""

    def do_GET(self) -> None:
        """Answer by the path."""
        whole = Image.open(io.BytesIO(picture(self.path)))
        self.send_response(404 if self.path == "/robots.txt" else 200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        self.wfile.write(saved(whole.resize((whole.width // 2, whole.height // 2)), "JPEG", quality=90))


@pytest.mark.parametrize("first", ["large", "small"])
@pytest.mark.parametrize("by", ["picture", "source"])
def test_smaller_copies_of_a_forgotten_picture(tmp_path: Path, first: str, by: str) -> None:
    """With a picture its smaller copies stay away; with a source those of others may be had, by an ordinary run."""
    settings = replace(build(tmp_path).settings, host_delay=0.0, private_networks="127.0.0.0/8")
    library = tmp_path / "collected"
    with GalleryServer(1, 4) as gallery, ThreadingHTTPServer(("127.0.0.9", 0), _Smaller) as smaller:
        threading.Thread(target=smaller.serve_forever, args=(0.05,), daemon=True).start()
        hosts = {"large": gallery.hosts[0], "small": f"http://127.0.0.9:{smaller.server_address[1]}"}
        for name, host in hosts.items():
            (tmp_path / f"{name}.html").write_text(f'<img src="{host}/p/0-1.jpg">')
            (tmp_path / f"{name}.toml").write_text(
                f'[[source]]\nshow = "s"\ncharacter = "{name}"\npages = "{name}.html"\n'
            )

        def run(name: str) -> SourceReport:
            with workplace(settings, "collect") as catalogue:
                sources = read_sources(tmp_path / f"{name}.toml")
                return collect(settings, catalogue, sources, library, clock=QuickClock()).sources[0]

        run(first)
        run("small" if first == "large" else "large")
        (kept,) = library.glob("*/*/*.jpg")
        assert kept.parent.name == "large"
        with workplace(settings, "forget") as catalogue:
            if by == "picture":
                forget(settings, catalogue, picture=kept.stem)
            else:
                forget(settings, catalogue, source=hosts["large"])
        assert run("large").refused == {"forgotten on demand": 1}
        again = run("small")
        assert (again.kept, again.refused) == ((0, {"forgotten on demand": 1}) if by == "picture" else (1, {}))
        assert again.failed == {}
        assert gallery.paths.count("/p/0-1.jpg") == 1
        smaller.shutdown()


@pytest.mark.parametrize("order", [("large", "small"), ("small", "large"), ("small", "middle", "large")])
@pytest.mark.parametrize("by", ["picture", "source"])
def test_smaller_copies_stay_away_from_any_address(tmp_path: Path, order: tuple[str, ...], by: str) -> None:
    """The bytes of a copy that was passed over, or went for a larger one, are known too, wherever they come from."""
    place = Place(tmp_path)
    sides = {"small": 100, "middle": 150, "large": 200}
    whole = Image.open(io.BytesIO(picture("a", 200)))
    files = {name: saved(whole.resize((side, side)), "JPEG", quality=90) for name, side in sides.items()}
    with Host({f"/{name}.jpg": image(files[name]) for name in order}) as host:
        for name in order:
            host.answers["/"] = page(f"/{name}.jpg")
            place.sources(f"{host.address}/")
            place.run(refresh=True)
        (kept,) = place.pictures()
        assert kept.read_bytes() == files["large"]
        with workplace(place.settings, "forget") as catalogue:
            if by == "picture":
                forget(place.settings, catalogue, picture=kept.stem)
            else:
                forget(place.settings, catalogue, source=f"{host.address}/large.jpg")
        host.answers |= {f"/elsewhere/{name}": image(files[name]) for name in order}
        host.answers["/"] = page(*(f"/elsewhere/{name}" for name in order))
        (source,) = place.run(refresh=True).sources
    refused = len(order) if by == "picture" else 1
    assert source.refused == {"forgotten on demand": refused}
    assert source.kept == (0 if by == "picture" else 1)
