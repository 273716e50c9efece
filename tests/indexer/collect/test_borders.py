"""`indexer.collect.borders`: private addresses are out of bounds, whatever leads there."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from bench.gallery import GalleryServer
from indexer.collect.borders import guarded_session, is_public, networks_of
from recommender.errors import FetchRefused, SettingError

PRIVATE = (
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "192.0.0.8",
    "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    """Loopback, link-local, private, shared, multicast and reserved ones are, also carried within an IPv6 address."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    """What is everybody's is public."""
    assert is_public(address)


def test_networks_may_be_allowed() -> None:
    """A setting opens some networks and no others; what is no network is named."""
    allowed = networks_of("127.0.0.0/8, ::1")
    assert is_public("127.0.0.2", allowed)
    assert is_public("::ffff:127.0.0.1", allowed)
    assert not is_public("169.254.169.254", allowed)
    assert networks_of(" ") == ()
    with pytest.raises(SettingError, match="SOKKURI_PRIVATE_NETWORKS"):
        networks_of("localhost")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0"])
def test_no_spelling_of_a_private_host_is_asked(host: str) -> None:
    """However this machine is called, nothing connects to it; a server that is there hears nothing."""
    with GalleryServer() as server, guarded_session("test", ()) as session:
        port = server.hosts[0].rpartition(":")[2]
        with pytest.raises(FetchRefused, match="private"):
            session.get(f"http://{host}:{port}/robots.txt", timeout=5)
        assert server.paths == []


def test_a_name_is_judged_by_where_it_leads_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was public a moment ago and is private now is refused: what is checked is what is connected to."""
    with GalleryServer() as server, guarded_session("test", ()) as session:
        port = int(server.hosts[0].rpartition(":")[2])

        def rebound(*_: Any, **__: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        with pytest.raises(FetchRefused, match=r"gallery\.example is 127\.0\.0\.1"):
            session.get(f"http://gallery.example:{port}/robots.txt", timeout=5)
        assert server.paths == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would hide where a connection ends: none is used, whatever the environment says."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with GalleryServer() as server, guarded_session("test", networks_of("127.0.0.0/8")) as session:
        assert session.get(f"{server.hosts[0]}/robots.txt", timeout=5).status_code == 200
