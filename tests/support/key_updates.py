"""A peer of TLS 1.3 that asks for new keys again and again (RFC 8446, 4.6.3)."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# What both ends agree on as long as nobody forbids it: TLS_AES_256_GCM_SHA384.
CIPHER = "TLS_AES_256_GCM_SHA384"
_KEY_LENGTH = 32
_NONCE_LENGTH = 12
_HASH = hashlib.sha384


def read_secret(key_log: Path, role: str) -> bytes:
    """Return the first secret of an end, `CLIENT` or `SERVER`, from what `ssl` has logged."""
    lines = [line.split() for line in key_log.read_text().splitlines()]
    (secret,) = [line[2] for line in lines if line[0] == f"{role}_TRAFFIC_SECRET_0"]
    return bytes.fromhex(secret)


def make_updates(secret: bytes, count: int) -> bytes:
    """Return records of an end which has sent none with its secret yet.

    Each is a KeyUpdate that asks for one in return, and the last that its key encrypts.
    """
    records = []
    for _ in range(count):
        key = _expand(secret, b"key", _KEY_LENGTH)
        nonce = _expand(secret, b"iv", _NONCE_LENGTH)
        # The message: its type, a length of one byte, update_requested; then the type of the
        # record, a handshake.
        inner = b"\x18\0\0\x01\x01" + b"\x16"
        head = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        records.append(head + AESGCM(key).encrypt(nonce, inner, head))
        secret = _expand(secret, b"traffic upd", _HASH().digest_size)
    return b"".join(records)


def make_alone(context: ssl.SSLContext) -> None:
    """See to it that nothing but what is made here is sent with a server's secret."""
    context.num_tickets = 0


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    # RFC 8446, 7.1: HKDF-Expand-Label, of which one block is enough here.
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes((len(name),)) + name + b"\0"
    return hmac.new(secret, info + b"\x01", _HASH).digest()[:length]
