"""Lets `requests` wait in the calling greenlet only, in a program that is not monkey-patched.

Its connections get gevent's sockets and gevent's TLS; all else stays as it is. SOCKS proxies
are beyond it: those of requests block.
"""

from __future__ import annotations

import ssl
from typing import Any

import gevent.socket
import gevent.ssl

try:
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
    from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs
except ImportError:
    IS_INSTALLED = False
else:
    IS_INSTALLED = True

    class _Cooperative(HTTPConnection):
        def _new_conn(self) -> Any:
            address = self._dns_host, self.port
            try:
                sock = gevent.socket.create_connection(
                    address, self.timeout, source_address=self.source_address
                )
            except TimeoutError as error:
                raise ConnectTimeoutError(self, f"{self.host} does not answer") from error
            except OSError as error:
                raise NewConnectionError(self, f"can't connect to {self.host}: {error}") from error
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            return sock

    class _CooperativeTLS(_Cooperative, HTTPSConnection):
        """The same with TLS, and TLS within it through a proxy that speaks TLS itself."""

        def _connect_tls_proxy(self, hostname: str, sock: Any) -> Any:
            # With a context of its own, nothing of the pool's counts: here it does.
            context = _make_context()
            context.verify_mode = resolve_cert_reqs(self.cert_reqs)
            if self.ca_certs or self.ca_cert_dir:
                context.load_verify_locations(self.ca_certs, self.ca_cert_dir)
            assert self.proxy_config is not None
            self.proxy_config = self.proxy_config._replace(ssl_context=context)
            return super()._connect_tls_proxy(hostname, sock)

    class _Pool(HTTPConnectionPool):
        ConnectionCls = _Cooperative

    class _TLSPool(HTTPSConnectionPool):
        ConnectionCls = _CooperativeTLS

    _POOLS = {"http": _Pool, "https": _TLSPool}

    class CooperativeAdapter(HTTPAdapter):
        """An adapter whose connections are gevent's."""

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, ssl_context=_make_context(), **kwargs)
            self.poolmanager.pool_classes_by_scheme = _POOLS

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            if proxy.lower().startswith("socks"):
                return super().proxy_manager_for(proxy, **kwargs)
            manager = super().proxy_manager_for(proxy, ssl_context=_make_context(), **kwargs)
            manager.pool_classes_by_scheme = _POOLS
            return manager

        def send(self, *args: Any, **kwargs: Any) -> Any:
            response = super().send(*args, **kwargs)
            if response.is_redirect:
                # requests reads what comes with a redirect, to its end, which may never come.
                response.raw.close()
            return response


def _make_context() -> Any:
    """Return what urllib3 makes by itself, but gevent's.

    Whom to trust it sets later, for each connection; and it compares the host's name itself.
    """
    model = create_urllib3_context()
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.options = model.options
    context.minimum_version = model.minimum_version
    context.set_alpn_protocols(["http/1.1"])
    return context
