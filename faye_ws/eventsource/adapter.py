"""An adapter for `requests` that waits in the calling greenlet only.

The program need not be monkey-patched: connections get a socket of gevent's, TLS in memory
above it, and the SOCKS client of this library.

Invariants:
- The hub runs between two reads, whatever the peer sends.
- A connection presents only the certificate that it was made with.
- Nothing is left open after `close`.
"""

from __future__ import annotations

import ssl
import weakref
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any

import gevent.socket
import gevent.ssl

from ..connecting.connector import connect_tcp, make_socks_tunnel, open_tunnel
from ..connecting.proxies import Proxy, parse_proxy
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

# Interim responses before the final one; Go's net/http allows 5.
_MAX_INTERIM = 8
# The longest body, in bytes, of a response with another status than 200 that may be read.
_MAX_REFUSAL = 2**16
# RFC 9110, 15.2.2.
_SWITCHING_PROTOCOLS = 101
_BLANK_LINES = (b"\r\n", b"\n", b"")


class _Socket(gevent.socket.socket):
    """A gevent socket that lets the hub run before each read, even if data is there.

    gevent's own waits only if there is no data: a peer that sends faster than we read would
    keep everything else from running, even timeouts.
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
    """The lines of a response's heads, bounded. The file must not end before the head does."""

    def __init__(self, file: Any) -> None:
        self._file = file
        # How many bytes may still be read: a head for each interim response, and the final one.
        self._remaining = MAX_HEAD_LENGTH * (_MAX_INTERIM + 1)

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(min(limit, MAX_HEAD_LENGTH + 1))
        if not line:
            raise HTTPException("the connection ended before the head of the response")
        self._remaining -= len(line)
        if self._remaining < 0 or len(line) > MAX_HEAD_LENGTH:
            raise HTTPException(f"a head of more than {MAX_HEAD_LENGTH} bytes")
        return line

    def begin_final_head(self) -> None:
        self._remaining = MAX_HEAD_LENGTH

    def close(self) -> None:
        self._file.close()


class _Response(HTTPResponse):
    """A response that may follow any interim responses, up to a number of them."""

    def begin(self) -> None:
        # `http.client` takes a head that is cut off for one with fewer fields.
        file = self.fp
        lines: Any = _HeadLines(file)
        self.fp = lines
        try:
            super().begin()
        finally:
            # If the head is malformed, http.client has closed the file and dropped it.
            if self.fp is lines:
                self.fp = file

    def _read_status(self) -> tuple[str, int, str]:
        # RFC 9110, 15.2: "A client MUST be able to parse one or more 1xx responses received
        # prior to a final response, even if the client does not expect one." `http.client`
        # skips only those with status 100, and any number of them.
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
        remaining = MAX_HEAD_LENGTH
        while (line := self.fp.readline(remaining + 1)) not in _BLANK_LINES:
            remaining -= len(line)
            if remaining < 0:
                raise HTTPException(f"{where} of more than {MAX_HEAD_LENGTH} bytes")


if IS_INSTALLED:  # pragma: no branch - tests need what the client needs

    class _TLSSocket(SSLTransport):
        """TLS over a socket, or over another `_TLSSocket`."""

        @property
        def _io_refs(self) -> int:
            # The number of files made from a socket, which closes with the last of them.
            count: int = self.socket._io_refs  # type: ignore[attr-defined]
            return count

        @_io_refs.setter
        def _io_refs(self, count: int) -> None:
            self.socket._io_refs = count  # type: ignore[attr-defined]

    class _Context(gevent.ssl.SSLContext):
        """A context that does TLS in memory, so that the socket below does the reading.

        It derives from gevent's. Setting an attribute of the standard one fails once the
        program has been monkey-patched: its setters look up `ssl.SSLContext` by name.
        """

        def wrap_socket(  # type: ignore[override]
            self, sock: Any, *args: Any, server_hostname: str | None = None, **kwargs: Any
        ) -> _TLSSocket:
            return _TLSSocket(sock, self, server_hostname)

    class _Connection(HTTPConnection):
        """A connection of `requests`, through a SOCKS proxy if there is one."""

        response_class = _Response

        def __init__(self, *args: Any, socks: Proxy | None = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._socks = socks

        def _new_conn(self) -> Any:
            host = self._dns_host
            try:
                host.encode("idna")
            except UnicodeError:
                problem = f"{host!r}: a label is empty or too long"
                raise LocationParseError(problem) from None
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
                return _to_gevent(connect_tcp(host, self.port, self.source_address))
            tunnel = make_socks_tunnel(proxy, host, self.port)
            sock = connect_tcp(proxy.host, proxy.port, self.source_address)
            try:
                open_tunnel(sock, tunnel)
            except BaseException:
                sock.close()
                raise
            return _to_gevent(sock)

    class _TLSConnection(_Connection, HTTPSConnection):
        """The same with TLS, which may be within the TLS of a proxy."""

        def connect(self) -> None:
            # Each connection has its own context: a context that was given a certificate
            # would present it to the next server, too.
            self.ssl_context = _make_context()
            super().connect()

        def _connect_tls_proxy(self, hostname: str, sock: Any) -> Any:
            # urllib3 ignores the pool's settings for a proxy with a context of its own.
            context = _make_context()
            context.verify_mode = resolve_cert_reqs(self.cert_reqs)
            if self.ca_certs or self.ca_cert_dir:
                context.load_verify_locations(self.ca_certs, self.ca_cert_dir)
            assert self.proxy_config is not None
            self.proxy_config = self.proxy_config._replace(ssl_context=context)
            return super()._connect_tls_proxy(hostname, sock)

    class CooperativeAdapter(HTTPAdapter):
        """An adapter with connections of ours.

        It never retries. The caller does; and between two tries urllib3 would block the whole
        thread, for as long as the server asks.
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
                # requests would read the body of a redirect to its end, and so do some kinds
                # of authentication that of a 401. It may be endless.
                response.raw.close()
            return response

        def close(self) -> None:
            """Close every connection, whatever it is doing."""
            for body in list(self._bodies):
                body.close()
            super().close()


def _to_gevent(sock: Any) -> _Socket:
    """Move the descriptor of a plain socket to a `_Socket`."""
    ours = _Socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    keep_from_children(ours)
    return ours


def _make_pools(socks: Proxy | None = None) -> dict[str, Any]:
    """Return the pool classes, by scheme, with which urllib3 makes our connections."""

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
    """Return a context with the settings that urllib3 gives its own.

    urllib3 later sets what each connection trusts, and checks the host name itself.
    """
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    context.set_alpn_protocols(["http/1.1"])
    return context
