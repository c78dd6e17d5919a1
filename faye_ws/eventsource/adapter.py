"""Lets `requests` wait in the calling greenlet only, in a program that is not monkey-patched.

Its connections get a socket of gevent's, TLS in memory above it, and the SOCKS of this
library; all else stays as it is.

Invariants: whatever a peer sends, the hub has its turn between two reads; a connection shows
a certificate only if it was made for that; nothing stays open after `close`.
"""

from __future__ import annotations

import ssl
import weakref
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any

import gevent.socket
import gevent.ssl

from ..connecting.connector import connect_tcp, find_address, open_tunnel
from ..connecting.proxies import Proxy, parse_proxy
from ..connecting.socks import SocksTunnel
from ..constants import MAX_HEAD_LENGTH
from ..errors import HandshakeError
from ..runtime.sockets import keep_from_children

try:
    from requests.adapters import HTTPAdapter
    from urllib3 import PoolManager
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import LocationParseError, NewConnectionError
    from urllib3.util.ssl_ import resolve_cert_reqs
    from urllib3.util.ssltransport import SSLTransport
except ImportError:  # pragma: no cover - tests need what the client needs
    IS_INSTALLED = False
else:
    IS_INSTALLED = True

# Interim responses before the final one; Go's net/http takes five.
_MAX_INTERIM = 8
# Bytes that the body of any answer but 200 may have to be left to who may want to read it.
_MAX_REFUSAL = 2**16
# RFC 9110, 15.2.2.
_SWITCHING_PROTOCOLS = 101
_BLANK = (b"\r\n", b"\n", b"")


class _Socket(gevent.socket.socket):
    """Waits before each read, also if something is there: so the hub has its turn.

    gevent's own waits only if nothing is there. A peer that sends faster than we read would
    keep everything else from running, timeouts too.
    """

    def recv(self, *args: Any) -> bytes:
        gevent.socket.wait_read(self.fileno(), self.gettimeout())
        data: bytes = super().recv(*args)
        return data

    def recv_into(self, *args: Any) -> int:
        gevent.socket.wait_read(self.fileno(), self.gettimeout())
        count: int = super().recv_into(*args)
        return count


class _HeadLines:
    """The lines of a file up to the end of a head, before which the file must not end."""

    def __init__(self, file: Any) -> None:
        self._file = file
        # Interim responses have as much room each.
        self._left = MAX_HEAD_LENGTH * (_MAX_INTERIM + 1)

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(min(limit, MAX_HEAD_LENGTH + 1))
        if not line:
            raise HTTPException("the connection ended before the head of the response")
        self._left -= len(line)
        if self._left < 0 or len(line) > MAX_HEAD_LENGTH:
            raise HTTPException(f"a head of more than {MAX_HEAD_LENGTH} bytes")
        return line

    def begin_final_head(self) -> None:
        self._left = MAX_HEAD_LENGTH

    def close(self) -> None:
        self._file.close()


class _Response(HTTPResponse):
    """Passes over interim responses, all of them, but not over any number."""

    def begin(self) -> None:
        # To `http.client`, a head that is cut off is one with fewer fields.
        file = self.fp
        lines: Any = _HeadLines(file)
        self.fp = lines
        try:
            super().begin()
        finally:
            # If it is no head, http.client has closed and forgotten it.
            if self.fp is lines:
                self.fp = file

    def _read_status(self) -> tuple[str, int, str]:
        # RFC 9110, 15.2: "A client MUST be able to parse one or more 1xx responses received
        # prior to a final response, even if the client does not expect one." `http.client`
        # knows only 100, and any number of it.
        for _ in range(_MAX_INTERIM + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == _SWITCHING_PROTOCOLS:
                if isinstance(self.fp, _HeadLines):
                    self.fp.begin_final_head()
                return version, status, reason
            self._skip_fields("an interim response")
        raise HTTPException(f"more than {_MAX_INTERIM} interim responses")

    def _read_and_discard_trailer(self) -> None:
        self._skip_fields("a trailer")

    def _skip_fields(self, where: str) -> None:
        left = MAX_HEAD_LENGTH
        while (line := self.fp.readline(left + 1)) not in _BLANK:
            left -= len(line)
            if left < 0:
                raise HTTPException(f"{where} of more than {MAX_HEAD_LENGTH} bytes")


if IS_INSTALLED:  # pragma: no branch - tests need what the client needs

    class _TLSSocket(SSLTransport):
        """TLS over a socket, which another one may be over."""

        @property
        def _io_refs(self) -> int:
            # How many files are made of a socket, which closes with the last of them.
            count: int = self.socket._io_refs  # type: ignore[attr-defined]
            return count

        @_io_refs.setter
        def _io_refs(self, count: int) -> None:
            self.socket._io_refs = count  # type: ignore[attr-defined]

    class _Context(gevent.ssl.SSLContext):
        """Does TLS in memory, so that reading is that of the socket below.

        It derives from gevent's, since those that were made before a program is
        monkey-patched can't be set any more afterwards: they look for their class under a
        name that now means another.
        """

        def wrap_socket(  # type: ignore[override]
            self, sock: Any, *args: Any, server_hostname: str | None = None, **kwargs: Any
        ) -> _TLSSocket:
            return _TLSSocket(sock, self, server_hostname)

    class _Connection(HTTPConnection):
        """A connection of `requests`, perhaps through a SOCKS proxy."""

        response_class = _Response

        def __init__(self, *args: Any, socks: Proxy | None = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._socks = socks

        def _new_conn(self) -> Any:
            host = self._dns_host
            try:
                host.encode("idna")
            except UnicodeError:
                said = f"{host!r}: a label is empty or too long"
                raise LocationParseError(said) from None
            try:
                sock = self._connect(host)
            except (OSError, HandshakeError) as error:
                raise NewConnectionError(self, f"can't connect to {self.host}: {error}") from error
            sock.settimeout(self.timeout)
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            return sock

        def _connect(self, host: str) -> _Socket:
            proxy = self._socks
            if proxy is None:
                return _take(connect_tcp(host, self.port, self.source_address))
            if proxy.scheme == "socks5":
                host = find_address(host)
            tunnel = SocksTunnel(host, self.port, proxy.username, proxy.password)
            sock = connect_tcp(proxy.host, proxy.port, self.source_address)
            try:
                open_tunnel(sock, tunnel)
            except BaseException:
                sock.close()
                raise
            return _take(sock)

    class _TLSConnection(_Connection, HTTPSConnection):
        """The same with TLS, and TLS within it through a proxy that speaks TLS itself."""

        def connect(self) -> None:
            # One for each: a context keeps the certificate that it has been given, and would
            # show it to the next server, too.
            self.ssl_context = _make_context()
            super().connect()

        def _connect_tls_proxy(self, hostname: str, sock: Any) -> Any:
            # With a context of its own, nothing of the pool's counts: here it does.
            context = _make_context()
            context.verify_mode = resolve_cert_reqs(self.cert_reqs)
            if self.ca_certs or self.ca_cert_dir:
                context.load_verify_locations(self.ca_certs, self.ca_cert_dir)
            assert self.proxy_config is not None
            self.proxy_config = self.proxy_config._replace(ssl_context=context)
            return super()._connect_tls_proxy(hostname, sock)

    class CooperativeAdapter(HTTPAdapter):
        """An adapter whose connections are ours.

        It never tries again by itself: who uses it does, and urllib3 would stop the whole
        thread in between, for as long as the server says.
        """

        def __init__(self) -> None:
            self._bodies: weakref.WeakSet[Any] = weakref.WeakSet()
            super().__init__()

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = _make_pools()

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            known = self.proxy_manager.get(proxy)
            if known is not None:
                return known
            if proxy.lower().startswith("socks"):
                manager: Any = PoolManager()
                manager.pool_classes_by_scheme = _make_pools(parse_proxy(proxy))
                self.proxy_manager[proxy] = manager
            else:
                manager = super().proxy_manager_for(proxy, **kwargs)
                manager.pool_classes_by_scheme = _make_pools()
            return manager

        def send(self, *args: Any, **kwargs: Any) -> Any:
            response = super().send(*args, **kwargs)
            self._bodies.add(response.raw)
            if response.status_code != 200 and not _is_small(response):
                # requests reads what comes with a redirect, and some kinds of authentication
                # what comes with a refusal, to its end, which may never come.
                response.raw.close()
            return response

        def close(self) -> None:
            """Close every connection, whatever it is doing."""
            for body in list(self._bodies):
                body.close()
            super().close()


def _take(sock: Any) -> _Socket:
    ours = _Socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    keep_from_children(ours)
    return ours


def _make_pools(socks: Proxy | None = None) -> dict[str, Any]:
    """Return the classes of pools that make our connections, for urllib3."""

    class Pool(HTTPConnectionPool):
        ConnectionCls = staticmethod(partial(_Connection, socks=socks))  # type: ignore[assignment]

    class TLSPool(HTTPSConnectionPool):
        ConnectionCls = staticmethod(partial(_TLSConnection, socks=socks))  # type: ignore[assignment]

    return {"http": Pool, "https": TLSPool}


def _is_small(response: Any) -> bool:
    length = response.raw.length_remaining
    is_packed = "Content-Encoding" in response.headers
    return not (response.is_redirect or is_packed) and length is not None and length <= _MAX_REFUSAL


def _make_context() -> Any:
    """Return what urllib3 makes by itself.

    Whom to trust it sets later, for each connection; and it compares the host's name itself.
    """
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    context.set_alpn_protocols(["http/1.1"])
    return context
