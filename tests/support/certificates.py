"""Certificates for tests, made when they are needed."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificates:
    """An authority, and a certificate of it for this machine, in files of a folder.

    Attributes:
        ca: the file of the authority's certificate.
        cert, key: those of the server's.
        trusted: what a client needs to trust the server.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        certificate = self.authority.issue_cert("localhost", "127.0.0.1", "::1")
        self.ca, self.cert, self.key = (str(folder / name) for name in ("ca", "cert", "key"))
        self.authority.cert_pem.write_to_path(self.ca)
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(self.cert, append=True)
        certificate.private_key_pem.write_to_path(self.key)
        self.trusted = ssl.create_default_context(cafile=self.ca)
