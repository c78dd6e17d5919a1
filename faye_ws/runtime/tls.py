"""TLS for a client, over a non-blocking socket or over another TLS connection.

The `ssl` module is given memory to read from and write to, not a descriptor. So the socket
stays ours, and a connection through a proxy that itself speaks TLS is the same thing twice.

It behaves as a non-blocking `SSLSocket` does: what can't be done now raises
`SSLWantReadError` or `SSLWantWriteError`, and a `send` that has raised is to be repeated
with the same bytes first.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

_WAITING = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError, InterruptedError)
_READ_SIZE = 2**16
# Plain bytes that are encrypted at once; four records.
_WRITE_SIZE = 2**16

TLSOptions = ssl.SSLContext | Mapping[str, Any]

_TLS_KEYS = frozenset(("ca", "cert", "key", "server_hostname", "verify"))


class TLSSettings:
    """What a client trusts and shows.

    Args:
        tls: an `ssl.SSLContext` to use as it is; or a mapping with any of `ca` (a file or
            folder of certificates to trust instead of the system's), `cert` and `key` (files
            of our own), `server_hostname` (whose certificate it must be) and `verify` (False
            to trust anybody).
        ca: the same as `{"ca": ca}`.

    Raises:
        TypeError, ValueError: an option is unknown, or two contradict each other.
        OSError: a file can't be read.
    """

    __slots__ = ("context", "server_hostname")

    def __init__(self, tls: TLSOptions | None, ca: str | None) -> None:
        self.server_hostname: str | None = None
        if isinstance(tls, ssl.SSLContext):
            if ca is not None:
                raise ValueError("ca belongs into the SSLContext")
            self.context: ssl.SSLContext = tls
            return
        options = dict(tls or {})
        unknown = options.keys() - _TLS_KEYS
        if unknown:
            raise TypeError(f"unknown options of tls: {', '.join(sorted(map(str, unknown)))}")
        if ca is not None and options.setdefault("ca", ca) != ca:
            raise ValueError("two different ca")
        self.server_hostname = options.get("server_hostname")
        chosen = options.keys() - {"server_hostname"}
        self.context = _make_context(options) if chosen else _default_context()


@cache
def _default_context() -> ssl.SSLContext:
    # To read all the certificates that a system trusts takes milliseconds and memory.
    return _make_context({})


def _make_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca = options.get("ca")
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load_ca(context, str(ca))
    if options.get("cert") is not None:
        context.load_cert_chain(options["cert"], options.get("key"))
    elif options.get("key") is not None:
        raise ValueError("a key without a cert")
    if options.get("verify") is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    # RFC 7301: WebSocket begins as HTTP/1.1, which a server of HTTP/2 must know.
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_ca(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except IsADirectoryError:
        context.load_verify_locations(capath=path)


class TLSSocket:
    """The client's end of a TLS connection.

    Args:
        sock: a non-blocking socket, or another `TLSSocket`.
        context: what to trust, and what to show.
        server_hostname: whose certificate it must be (SNI, too).
    """

    __slots__ = ("_incoming", "_outgoing", "_promised", "_socket", "_tls", "_unsent")

    def __init__(self, sock: Any, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=False, server_hostname=server_hostname
        )
        # Encrypted bytes that the socket has not taken, and the plain ones behind them.
        self._unsent = b""
        self._promised = 0

    def do_handshake(self) -> None:
        """Go on with the handshake, and return when it is done."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except ssl.SSLError:
                # The alert that tells the server why.
                self._flush()
                raise
            else:
                self._flush()
                if self._unsent:
                    raise ssl.SSLWantWriteError
                return

    def recv(self, size: int) -> bytes:
        """Return all bytes that have come, or b"" at the end of them."""
        data = self._decrypt()
        if data is None:
            self._fill()
            data = self._decrypt()
        self._flush()
        if data is None:
            raise ssl.SSLWantReadError
        return data

    def _decrypt(self) -> bytes | None:
        pieces: list[bytes] = []
        while True:
            try:
                piece = self._tls.read(_READ_SIZE)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                piece = b""
            if not piece:
                # The end is told by the next call, if something came before it.
                return b"".join(pieces)
            pieces.append(piece)
        return b"".join(pieces) if pieces else None

    def _fill(self) -> None:
        data = self._socket.recv(_READ_SIZE)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def send(self, data: Any) -> int:
        """Send bytes, and return how many."""
        if not self._promised:
            with memoryview(data) as view:
                self._promised = self._tls.write(view[:_WRITE_SIZE])
        self._flush()
        if self._unsent:
            raise ssl.SSLWantWriteError
        sent, self._promised = self._promised, 0
        return sent

    def _flush(self) -> None:
        unsent = self._unsent + self._outgoing.read()
        try:
            while unsent:
                unsent = unsent[self._socket.send(unsent) :]
        except _WAITING:
            pass
        finally:
            self._unsent = unsent

    def unwrap(self) -> None:
        """Say that nothing will be sent any more."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        finally:
            self._flush()

    def fileno(self) -> int:
        """Return the descriptor of the socket below."""
        number: int = self._socket.fileno()
        return number

    def settimeout(self, timeout: float | None) -> None:
        """Set the mode of the socket below."""
        self._socket.settimeout(timeout)

    def setsockopt(self, *args: Any) -> None:
        """Set an option of the socket below."""
        self._socket.setsockopt(*args)

    def getsockopt(self, *args: Any) -> Any:
        """Return an option of the socket below."""
        return self._socket.getsockopt(*args)

    def shutdown(self, how: int) -> None:
        """Shut the socket below down."""
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the socket below."""
        self._socket.close()
