"""Borders: connections reach public addresses only, whatever a name resolves to at the moment.

The address that is checked is the very one that the socket is connected to, so that neither a redirect nor a name that
resolves differently a second later (DNS rebinding) leads into a private network. Not here: what is asked (`fetch`).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from threading import Lock
from typing import Any
from weakref import WeakSet

from requests import Response, Session
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.timeout import Timeout

from recommender.errors import FetchRefused, SettingError

Network = IPv4Network | IPv6Network
PRIVATE = "a private address"
_FOR_PROTOCOLS = ip_network("192.0.0.0/24")
"""IETF Protocol Assignments (RFC 6890), which older Pythons take for global."""
_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
"""IPv6 addresses whose last 32 bits are an IPv4 address (RFC 6052, RFC 8215)."""


def networks_of(text: str) -> tuple[Network, ...]:
    """Read a list of networks such as `127.0.0.0/8, ::1`. Raises SettingError."""
    try:
        return tuple(ip_network(part, strict=False) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise SettingError(f"SOKKURI_PRIVATE_NETWORKS has to list networks such as 127.0.0.0/8: {error}") from None


def is_public(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether an IP address is everybody's, or lies in a network that is allowed all the same.

    An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4, Teredo) is judged by that one as well.
    """
    found = ip_address(address.partition("%")[0])
    carried: Sequence[IPv4Address | IPv6Address] = _carried(found) if isinstance(found, IPv6Address) else ()
    for one in carried or [found]:
        if any(one.version == network.version and one in network for network in allowed):
            continue
        if not one.is_global or one.is_multicast or one.is_reserved or one in _FOR_PROTOCOLS:
            return False
    return True


def _carried(address: IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that packets to an IPv6 address may end at."""
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address.sixtofour:
        return [address.sixtofour]
    if address.teredo:
        return list(address.teredo)
    if any(address in network for network in _NAT64):
        return [IPv4Address(int(address) & 0xFFFF_FFFF)]
    return []


class _Sockets:
    """The sockets of an adapter, for as long as anybody reads from them: also those whose connection was given up.

    A connection whose answer has no length lets go of its socket as soon as it has read the head.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._sockets: WeakSet[socket.socket] = WeakSet()

    def add(self, one: socket.socket) -> None:
        """Take a socket."""
        with self._lock:
            self._sockets.add(one)

    def cut(self) -> None:
        """End whatever is being received: who reads finds the connection closed."""
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _Guarded:
    """What both kinds of connection share: the way a socket is opened."""

    allowed: tuple[Network, ...] = ()
    sockets: _Sockets
    sock: Any
    twin: Any
    host: str
    port: int
    timeout: Any
    socket_options: Any
    _dns_host: str

    def connect(self) -> None:
        """Connect, and agree on keys, so that another thread may cut it off all the while."""
        self.twin = None
        try:
            super().connect()  # type: ignore[misc]  # a mixin
        finally:
            if self.twin:
                self.twin.close()
        if self.sock:
            self.sockets.add(self.sock)

    def _new_conn(self) -> socket.socket:
        """Connect to one of the host's public addresses. Raises FetchRefused where it has private ones only."""
        timeout = Timeout.resolve_default_timeout(self.timeout)
        try:
            found = socket.getaddrinfo(self._dns_host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(self.host, self, reason) from error  # type: ignore[arg-type]  # a mixin
        public = [item for item in found if is_public(str(item[4][0]), self.allowed)]
        if not public:
            raise FetchRefused(PRIVATE, _private(self.host, str(found[0][4][0])))
        trouble: OSError = OSError("no address")
        for family, kind, protocol, _, address in public:
            opened = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    opened.setsockopt(*option)
                opened.settimeout(timeout)
                opened.connect(address)
                peer = str(opened.getpeername()[0])
                if not is_public(peer, self.allowed):  # whatever lies between: this is where the bytes would go
                    raise FetchRefused(PRIVATE, _private(self.host, peer))
            except OSError as error:
                trouble = error
                opened.close()
            except BaseException:
                opened.close()
                raise
            else:
                self.twin = opened.dup()  # while keys are agreed on, the socket itself is out of reach
                self.sockets.add(self.twin)
                return opened
        if isinstance(trouble, TimeoutError):
            raise ConnectTimeoutError(self, f"{self.host} does not answer") from trouble
        raise NewConnectionError(self, f"{trouble.strerror or trouble}") from trouble  # type: ignore[arg-type]  # a mixin


def _private(host: str, address: str) -> str:
    """Say that a host is out of bounds."""
    return (
        f"{address} is a private address" if host.strip("[]") == address else f"{host} is {address}, which is private"
    )


class GuardedAdapter(HTTPAdapter):
    """Lets a session speak over guarded connections only: one to each host, and none through a proxy."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._sockets = _Sockets()
        names = {"allowed": tuple(allowed), "sockets": self._sockets}
        plain = type("GuardedHTTPConnection", (_Guarded, HTTPConnection), names)
        secure = type("GuardedHTTPSConnection", (_Guarded, HTTPSConnection), names)
        self._pools = {
            "http": type("GuardedHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("GuardedHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0, pool_block=False)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pools ones of guarded connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def cut(self) -> None:
        """End whatever is being received, from another thread: who reads finds the connection closed."""
        self._sockets.cut()

    def proxy_manager_for(self, proxy: str, **_: Any) -> Any:
        """Refuse: behind a proxy nobody could see which address is reached."""
        raise FetchRefused(PRIVATE, f"pictures are not collected through a proxy ({proxy})")


class GuardedSession(Session):
    """A session that leaves redirects alone.

    The library's own looks at where one leads before it hands the answer out: it would read all of its body, whatever
    its size, and lose the connection where the address is not text.
    """

    def get_redirect_target(self, resp: Response) -> None:
        """Return nothing: `fetch` reads the address itself."""
        del resp


def guarded_session(agent: str, allowed: Sequence[Network]) -> Session:
    """Return a session that reaches public addresses only, and heeds no proxy or password of the environment."""
    session = GuardedSession()
    session.trust_env = False
    session.headers.clear()
    session.headers.update({"User-Agent": agent, "Accept-Language": "en, ja;q=0.8, *;q=0.5"})
    adapter = GuardedAdapter(allowed)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session
