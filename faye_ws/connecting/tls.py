"""TLS for a client, over a non-blocking socket or over another TLS connection.

The `ssl` module reads from and writes to memory here, not a descriptor. So TLS to a server
through a proxy that speaks TLS itself is this class twice.

A `TLSSocket` behaves like a non-blocking `SSLSocket`: what can't be done now raises
`SSLWantReadError` or `SSLWantWriteError`. There are two differences. Bytes that `send` has
accepted may still be in memory (`unsent` of them): call `flush` when the socket is writable.
And a call reads the socket below at most once, so a peer that never pauses can't keep the
caller.

Invariants:
- All bytes that were read are decrypted before more are read.
- The encrypted bytes that wait to be sent are bounded.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

_WAITING = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError, InterruptedError)
_READ_SIZE = 2**16
# How many bytes are encrypted at once: four records.
_WRITE_SIZE = 2**16
# With more encrypted bytes waiting than this, reading stops, as TLS answers some of what it
# reads (a KeyUpdate) and the peer may never read the answers. `send` uses half of it at most.
_MAX_UNSENT = 2**17

TLSOptions = ssl.SSLContext | Mapping[str, Any]

_OPTION_KEYS = frozenset(("ca", "cert", "key", "server_hostname", "verify"))
# Those that are about every server.
_TRUST_KEYS = ("ca", "verify")


class TLSSettings:
    """Which certificates a client trusts, and which it presents.

    Args:
        tls: an `ssl.SSLContext` to use as it is; or a mapping with any of `ca` (a file or
            folder of certificates to trust instead of the system's), `cert` and `key` (files
            of the client's own), `server_hostname` (the name that the server's certificate
            must have) and `verify` (False to accept every certificate).
        ca: the same as `{"ca": ca}`.

    Raises:
        TypeError, ValueError: an option is unknown, or two contradict each other.
        OSError: a file can't be read.
    """

    __slots__ = ("_options", "context", "server_hostname")

    def __init__(self, tls: TLSOptions | None, ca: str | None) -> None:
        self.server_hostname: str | None = None
        # The options that the context was made from; None for one of the application's.
        self._options: dict[str, Any] | None = None
        if isinstance(tls, ssl.SSLContext):
            if ca is not None:
                raise ValueError("ca belongs into the SSLContext")
            self.context: ssl.SSLContext = tls
            return
        options = self._options = dict(tls or {})
        unknown = options.keys() - _OPTION_KEYS
        if unknown:
            raise TypeError(f"unknown options of tls: {', '.join(sorted(map(str, unknown)))}")
        if ca is not None and options.setdefault("ca", ca) != ca:
            raise ValueError("two different ca")
        self.server_hostname = options.get("server_hostname")
        chosen = options.keys() - {"server_hostname"}
        self.context = _make_context(options) if chosen else _default_context()

    def without_certificate(self) -> TLSSettings | None:
        """Return settings with the same trust and no certificate of the client's.

        None for an `SSLContext` of the application's: it may have a certificate.
        """
        if self._options is None:
            return None
        kept = {name: self._options[name] for name in _TRUST_KEYS if name in self._options}
        return TLSSettings(kept, None)


@cache
def _default_context() -> ssl.SSLContext:
    # Loading the certificates that the system trusts takes milliseconds and memory.
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
    # ALPN (RFC 7301): a server that also speaks HTTP/2 must not choose it.
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_ca(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except IsADirectoryError:
        context.load_verify_locations(capath=path)


class TLSSocket:
    """The client's side of a TLS connection.

    Args:
        sock: a non-blocking socket, or another `TLSSocket`.
        context: certificates and settings.
        server_hostname: the name for SNI, and to check the server's certificate against.
    """

    __slots__ = ("_incoming", "_outgoing", "_socket", "_tls", "_unsent")

    def __init__(self, sock: Any, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=False, server_hostname=server_hostname
        )
        # Encrypted bytes that the socket has not accepted.
        self._unsent = bytearray()

    @property
    def unsent(self) -> int:
        """How many encrypted bytes the socket has not accepted."""
        below = self._socket.unsent if isinstance(self._socket, TLSSocket) else 0
        return len(self._unsent) + below

    def do_handshake(self) -> None:
        """Continue the handshake; return when it is done."""
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
            # The client's part of the handshake, or the alert if it has failed.
            self._push()
            raise

    def recv(self, size: int) -> bytes:
        """Return all bytes received so far, or b"" at the end of the peer's side."""
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
            # The peer accepts nothing any more. What it sent before can still be read.
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
                # If data came before the end, the end is for the next call.
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
        """Encrypt some of the bytes and send what the socket accepts; return how many."""
        self.flush()
        with memoryview(data) as view:
            taken = self._tls.write(view[:_WRITE_SIZE]) if len(view) else 0
        self._push()
        return taken

    def flush(self) -> None:
        """Send the encrypted bytes.

        Raises:
            SSLWantWriteError: the socket has not accepted all of them.
        """
        self._push()
        if self._unsent:
            raise ssl.SSLWantWriteError
        if isinstance(self._socket, TLSSocket):
            self._socket.flush()

    def _push(self) -> None:
        """Send as many of the encrypted bytes as the socket accepts now."""
        self._unsent += self._outgoing.read()
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent)
                del self._unsent[:sent]
        except _WAITING:
            pass  # The rest waits for the next call.

    def unwrap(self) -> None:
        """Tell the peer that nothing more will be sent."""
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
