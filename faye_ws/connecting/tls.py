"""TLS for a client, over a non-blocking socket or over another TLS connection.

The `ssl` module is given memory to read from and write to, not a descriptor. So the socket
stays ours, and a connection through a proxy that itself speaks TLS is the same thing twice.

It behaves as a non-blocking `SSLSocket` does, where what can't be done now raises
`SSLWantReadError` or `SSLWantWriteError`, but for two things. What `send` has taken may
still be here: `unsent` bytes of it, for which `flush` is to be called when the socket can be
written. And a call reads the socket below once at most, so that a peer which always has more
can't hold up whoever has called.

Invariants: all that has come is decrypted before more is read, and what waits to be sent has
a bound.
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
# Encrypted bytes that may wait for the socket before nothing is read any more. `send` leaves
# half of it at most; the rest are TLS's own answers, to a peer that asks and does not read.
_MAX_UNSENT = 2**17

TLSOptions = ssl.SSLContext | Mapping[str, Any]

_TLS_KEYS = frozenset(("ca", "cert", "key", "server_hostname", "verify"))
_TRUST = ("ca", "verify")


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

    __slots__ = ("_options", "context", "server_hostname")

    def __init__(self, tls: TLSOptions | None, ca: str | None) -> None:
        self.server_hostname: str | None = None
        # What the context was made of; None if it is the application's.
        self._options: dict[str, Any] | None = None
        if isinstance(tls, ssl.SSLContext):
            if ca is not None:
                raise ValueError("ca belongs into the SSLContext")
            self.context: ssl.SSLContext = tls
            return
        options = self._options = dict(tls or {})
        unknown = options.keys() - _TLS_KEYS
        if unknown:
            raise TypeError(f"unknown options of tls: {', '.join(sorted(map(str, unknown)))}")
        if ca is not None and options.setdefault("ca", ca) != ca:
            raise ValueError("two different ca")
        self.server_hostname = options.get("server_hostname")
        chosen = options.keys() - {"server_hostname"}
        self.context = _make_context(options) if chosen else _default_context()

    def for_others(self) -> TLSSettings | None:
        """Return what is for every server: whom to trust, but no certificate of our own.

        None if that can't be told, since a context of the application's may have one.
        """
        if self._options is None:
            return None
        kept = {name: self._options[name] for name in _TRUST if name in self._options}
        return TLSSettings(kept, None)


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

    __slots__ = ("_incoming", "_outgoing", "_socket", "_tls", "_unsent")

    def __init__(self, sock: Any, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=False, server_hostname=server_hostname
        )
        # Encrypted bytes that the socket has not taken.
        self._unsent = bytearray()

    @property
    def unsent(self) -> int:
        """How many encrypted bytes the socket has not taken."""
        below = self._socket.unsent if isinstance(self._socket, TLSSocket) else 0
        return len(self._unsent) + below

    def do_handshake(self) -> None:
        """Go on with the handshake, and return when it is done."""
        try:
            self._shake_hands()
        except ssl.SSLWantReadError:
            self._fill()
            self._shake_hands()
        self.flush()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLError:
            # What the server is to answer, or the alert that tells it why it is the end.
            self._push()
            raise

    def recv(self, size: int) -> bytes:
        """Return all bytes that have come, or b"" at the end of them."""
        data = self._decrypt()
        if data is None:
            self._answer()
            if len(self._unsent) > _MAX_UNSENT:
                raise ssl.SSLWantWriteError("the peer does not read what TLS has answered")
            self._fill()
            data = self._decrypt()
        self._answer()
        if data is None:
            raise ssl.SSLWantReadError
        return data

    def _answer(self) -> None:
        try:
            self._push()
        except OSError:
            # The peer takes nothing any more. What it has said before can still be read, and
            # then the end of it.
            self._unsent.clear()

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
        try:
            data = self._socket.recv(_READ_SIZE)
        except BlockingIOError:
            raise ssl.SSLWantReadError from None
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def send(self, data: Any) -> int:
        """Take bytes to be sent, and return how many."""
        self.flush()
        with memoryview(data) as view:
            taken = self._tls.write(view[:_WRITE_SIZE]) if len(view) else 0
        self._push()
        return taken

    def flush(self) -> None:
        """Pass on what is encrypted; until the socket has taken all, `SSLWantWriteError`."""
        self._push()
        if self._unsent:
            raise ssl.SSLWantWriteError
        if isinstance(self._socket, TLSSocket):
            self._socket.flush()

    def _push(self) -> None:
        """Pass on of what is encrypted as much as the socket takes now."""
        self._unsent += self._outgoing.read()
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent)
                del self._unsent[:sent]
        except _WAITING:
            """The rest is for another time."""

    def unwrap(self) -> None:
        """Say that nothing will be sent any more."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        finally:
            self._push()

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
