"""Asking a SOCKS5 proxy for a tunnel (RFC 1928, RFC 1929), without I/O.

client                          proxy
methods it knows         ->
                         <-     method to use
username and password    ->                     (only for that method)
                         <-     status
where to connect to      ->
                         <-     reply
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator

from ..errors import ConnectionFailed, HandshakeError

_VERSION = 5
_CONNECT = 1
_NO_AUTHENTICATION = 0
_USERNAME_PASSWORD = 2
_NO_ACCEPTABLE_METHODS = 0xFF
# RFC 1929, 2: the version of the username and password exchange, not of SOCKS.
_PASSWORD_VERSION = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_ADDRESS_LENGTHS = {_IPV4: 4, _IPV6: 16}
_PORT_LENGTH = 2
# Names, usernames and passwords have a length of one byte.
_MAX_LENGTH = 255
# RFC 1928, 6.
_REASONS = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "it knows no CONNECT",
    8: "it knows no such addresses",
}


class SocksTunnel:
    """The client's side of a SOCKS5 conversation.

    Args:
        host, port: where the tunnel is to lead: an address, or a name for the proxy to look up.
        username, password: for the proxy, if it asks for them.

    Attributes:
        is_open: whether the proxy has opened the tunnel.

    Raises:
        ValueError: the name, the username or the password is too long.
    """

    __slots__ = (
        "_conversation",
        "_credentials",
        "_outgoing",
        "_received",
        "_request",
        "_step_length",
        "_target",
        "is_open",
    )

    def __init__(
        self, host: str, port: int, username: str | None = None, password: str | None = None
    ) -> None:
        self._target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._request = (
            bytes((_VERSION, _CONNECT, 0)) + _format_host(host) + port.to_bytes(_PORT_LENGTH, "big")
        )
        self._credentials = (
            None if username is None else format_credentials(username, password or "")
        )
        self._outgoing = b""
        self._received = b""
        self.is_open = False
        self._conversation = self._converse()
        # How many bytes of the proxy's the next step of the conversation needs.
        self._step_length = next(self._conversation)

    def data_to_send(self) -> bytes:
        """Return the bytes to send to the proxy, and forget them."""
        data, self._outgoing = self._outgoing, b""
        return data

    def receive_data(self, data: bytes) -> None:
        """Receive bytes from the proxy, until `is_open`; b"" is the end of its side.

        Raises:
            ConnectionFailed: the proxy can't reach the host, or closed the connection.
            HandshakeError: the proxy refuses us, or does not speak SOCKS5.
        """
        if not data:
            raise ConnectionFailed("the proxy closed the connection")
        self._received += data
        while len(self._received) >= self._step_length and not self.is_open:
            piece = self._received[: self._step_length]
            self._received = self._received[self._step_length :]
            try:
                self._step_length = self._conversation.send(piece)
            except StopIteration:
                self.is_open = True
        if self.is_open and self._received:
            # In a tunnel to a server the client speaks first.
            raise HandshakeError("the proxy sent more than its answer")

    def _converse(self) -> Generator[int, bytes, None]:
        """Hold our side of the conversation; each `yield` asks for a number of bytes."""
        methods = [_NO_AUTHENTICATION]
        if self._credentials is not None:
            methods.append(_USERNAME_PASSWORD)
        self._outgoing += bytes((_VERSION, len(methods), *methods))
        version, method = yield 2
        if version != _VERSION:
            raise HandshakeError("the proxy does not speak SOCKS5")
        if method == _NO_ACCEPTABLE_METHODS:
            # RFC 1928, 3: "none of the methods listed by the client are acceptable, and the
            # client MUST close the connection".
            raise HandshakeError("the proxy wants other credentials")
        if method not in methods:
            raise HandshakeError(f"the proxy wants a method that was not offered: {method}")
        if method == _USERNAME_PASSWORD and self._credentials is not None:
            self._outgoing += self._credentials
            _, status = yield 2
            if status != 0:
                # RFC 1929, 2: "If the server returns a `failure' (STATUS value other than
                # X'00') status, it MUST close the connection."
                raise HandshakeError("the proxy refuses the username or the password")
        self._outgoing += self._request
        version, reply = yield 2
        if version != _VERSION:
            raise HandshakeError("the proxy does not speak SOCKS5")
        if reply != 0:
            reason = _REASONS.get(reply, f"reply {reply}")
            raise ConnectionFailed(f"the proxy can't connect to {self._target}: {reason}")
        _, kind = yield 2
        if kind == _NAME:
            length = (yield 1)[0]
        elif kind in _ADDRESS_LENGTHS:
            length = _ADDRESS_LENGTHS[kind]
        else:
            raise HandshakeError(f"the proxy answers with an address of no known type: {kind}")
        # The address that the proxy connects from, which nobody needs here.
        yield length + _PORT_LENGTH


def format_credentials(username: str, password: str) -> bytes:
    """Serialize a username and a password (RFC 1929, 2).

    Raises:
        ValueError: one of them is too long, or the username is empty.
    """
    name, word = username.encode(), password.encode()
    if not 0 < len(name) <= _MAX_LENGTH or len(word) > _MAX_LENGTH:
        raise ValueError("a username and a password for SOCKS have at most 255 bytes each")
    return bytes((_PASSWORD_VERSION, len(name))) + name + bytes((len(word),)) + word


def _format_host(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        if len(name) > _MAX_LENGTH:
            raise ValueError("a name for a SOCKS proxy has at most 255 bytes") from None
        return bytes((_NAME, len(name))) + name
    return bytes((_IPV4 if address.version == 4 else _IPV6,)) + address.packed
