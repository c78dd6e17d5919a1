"""The request for an event stream, and its redirects.

Invariants:
- What the application gave for one origin is sent to no other.
- Each request has its response within `connect_timeout`, or fails.
- The body of a response that is not a stream is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import gevent

from ..constants import DEFAULT_PORTS, HARMLESS_FIELDS
from ..driver.http import Headers
from ..errors import EventStreamError, EventStreamLost
from ..event_stream.header import format_last_event_id
from ..runtime.waiting import give_turn
from .adapter import IS_INSTALLED

if IS_INSTALLED:  # pragma: no branch - tests need what the client needs
    import requests
    from requests.adapters import HTTPAdapter
    from requests.cookies import RequestsCookieJar
    from requests.exceptions import ConnectionError as RequestsConnectionError
    from requests.exceptions import RequestException, SSLError, Timeout
    from urllib3.exceptions import HTTPError, LocationValueError

    from .adapter import CooperativeAdapter

REQUEST_OPTIONS = frozenset(
    ("data", "json", "params", "auth", "cookies", "proxies", "verify", "cert")
)
_HEADERS = {
    "Accept": "text/event-stream",
    "Cache-Control": "no-cache",
    # Compression tends to delay events.
    "Accept-Encoding": "identity",
}
_READ_SIZE = 2**16
# RFC 9110, 9.2.1: methods that change nothing on the server.
_SAFE_METHODS = frozenset(("GET", "HEAD"))
# How many characters of a server's are quoted in an error message.
_MAX_QUOTE = 100


class StreamRequest:
    """A request that can be sent any number of times.

    Args:
        url, method, headers: as in `requests.request`.
        session: a `requests.Session`, or None.
        connect_timeout: seconds from connecting to the end of the response's head.
        timeout: seconds of silence after which a connection counts as lost, or None.
        options: other options of `requests.request`, of those in `REQUEST_OPTIONS`.

    Raises:
        TypeError, ValueError: an argument is invalid.
    """

    def __init__(
        self,
        url: str,
        method: str,
        headers: Mapping[str, str],
        session: Any,
        connect_timeout: float,
        timeout: float | None,
        options: Mapping[str, Any],
    ) -> None:
        self._url = url
        self._method = method
        self._headers = {**_HEADERS, **headers}
        self._session = _cooperate(session)
        self._connect_timeout = connect_timeout
        self._timeout = (connect_timeout, timeout)
        self._options = options
        self._response: Any = None
        # Check the URL and the headers now, so that this call raises, not a later `send`.
        requests.Request(method, url, headers=self._headers).prepare()
        _check_headers(self._headers)

    def send(self, last_event_id: str) -> Any:
        """Send the request, follow redirects, and return the final response.

        Raises:
            EventStreamLost: there is no response; a later `send` may get one.
            EventStreamError: there never will be one.
        """
        try:
            return self._follow_redirects(last_event_id)
        except (RequestException, HTTPError, OSError) as error:
            raise explain(error) from error
        except ValueError as error:
            # Of `requests`, which lets through what urllib says of some URLs of redirects.
            raise EventStreamError(str(error), None) from error

    def read(self) -> bytes:
        """Wait for bytes of the last response and return them; b"" at its end.

        Raises:
            EventStreamLost: the connection is lost.
        """
        if "Content-Encoding" in self._response.headers:
            # A few bytes may decompress to many, which are then returned without waiting.
            give_turn(gevent.get_hub())
        try:
            data: bytes = self._response.raw.read1(_READ_SIZE, decode_content=True)
        except (RequestException, HTTPError, OSError) as error:
            raise explain(error) from error
        return data

    def close(self) -> None:
        """Close everything that the request has opened."""
        if self._response is not None:
            self._response.close()
            self._response = None
        for adapter in self._session.adapters.values():
            if isinstance(adapter, CooperativeAdapter):
                adapter.close()

    def _follow_redirects(self, last_event_id: str) -> Any:
        # As in browsers, Last-Event-ID is sent to the target of every redirect, since that is
        # the server of the stream.
        last_id = {"Last-Event-ID": value} if (value := format_last_event_id(last_event_id)) else {}
        response = self._receive(
            lambda: self._session.request(
                self._method,
                self._url,
                headers={**self._headers, **last_id},
                stream=True,
                timeout=self._timeout,
                allow_redirects=False,
                **self._options,
            )
        )
        is_foreign = False
        redirects = 0
        while response.is_redirect:
            redirects += 1
            if redirects > self._session.max_redirects:
                raise EventStreamError("too many redirects", response.status_code)
            request = self._find_next(response)
            if _find_origin(request.url) != _find_origin(response.url):
                is_foreign = True
                request = self._make_foreign(request, last_id)
            response = self._resend(request, is_foreign)
        return response

    def _find_next(self, response: Any) -> Any:
        """Return the next request after a redirect.

        Raises:
            EventStreamError: the redirect must not be followed.
        """
        request, status = response.next, response.status_code
        if request is None:
            raise EventStreamError("a redirect that does not say where to", status)
        # Sending the request adds it again if there is a proxy.
        request.headers.pop("Proxy-Authorization", None)
        old, new = _find_origin(response.url), _find_origin(request.url)
        place = request.url[:_MAX_QUOTE]
        request.prepare_url(request.url, None)
        if _find_origin(request.url) != new:
            # Normalizing the URL has changed its origin: cookies were chosen for the old one.
            raise EventStreamError(f"a redirect to no URL: {place}", status)
        if old[0] == "https" and new[0] != "https":
            raise EventStreamError(f"a redirect away from https is not followed: {place}", status)
        if old != new and (request.method not in _SAFE_METHODS or request.body is not None):
            problem = f"a redirect of a {request.method} to another origin is not followed: {place}"
            raise EventStreamError(problem, status)
        return request

    def _make_foreign(self, request: Any, last_id: Mapping[str, Any]) -> Any:
        """Return the same request without what the user gave for another origin."""
        cookies = RequestsCookieJar()
        for cookie in self._session.cookies:
            # requests sends a cookie without a domain, which only a program can make, to all.
            if cookie.domain:
                cookies.set_cookie(cookie)
        fields = request.headers.items()
        kept = {name: value for name, value in fields if name.lower() in HARMLESS_FIELDS}
        return requests.Request(
            request.method,
            request.url,
            headers={**kept, **_HEADERS, **last_id},
            cookies=cookies,
            hooks=self._session.hooks,
        ).prepare()

    def _resend(self, request: Any, is_foreign: bool) -> Any:
        given = self._options
        proxies = dict(given.get("proxies") or {})
        settings = self._session.merge_environment_settings(
            request.url, proxies, True, given.get("verify"), given.get("cert")
        )
        if is_foreign:
            settings["cert"] = None
        return self._receive(
            lambda: self._session.send(
                request, timeout=self._timeout, allow_redirects=False, **settings
            )
        )

    def _receive(self, send: Callable[[], Any]) -> Any:
        """Send a request, and return the response.

        Raises:
            EventStreamLost: there is none within `connect_timeout`.
        """
        if self._response is not None:
            self._response.close()
        with gevent.Timeout(self._connect_timeout) as deadline:
            try:
                self._response = send()
            except gevent.Timeout as timeout:
                if timeout is not deadline:
                    raise
                problem = f"no response within {self._connect_timeout:g} seconds"
                raise EventStreamLost(problem) from None
        return self._response


def explain(error: Exception) -> EventStreamLost:
    """Return the `EventStreamLost` for an error of a connection.

    Raises:
        EventStreamError: the error would occur again with every attempt.
    """
    if isinstance(error, SSLError) and "certificate" in str(error).lower():
        raise EventStreamError(str(error), None) from error
    transient = (RequestsConnectionError, Timeout)
    is_final = isinstance(error, RequestException) and not isinstance(error, transient)
    if is_final or isinstance(error, LocationValueError):
        raise EventStreamError(str(error), None) from error
    return EventStreamLost(str(error))


def _check_headers(headers: Mapping[str, Any]) -> None:
    """Check what `requests` does not: values must be Latin-1 and have no NUL in them."""
    for name, value in headers.items():
        Headers({name: value.decode("latin-1") if isinstance(value, bytes) else value})


def _cooperate(session: Any) -> Any:
    """Return a session that waits in the calling greenlet only.

    It shares the state of the given session, and keeps adapters of the user's own.
    """
    ours = requests.Session()
    if session is not None:
        ours = object.__new__(session.__class__)
        ours.__dict__.update(session.__dict__)
        ours.adapters = session.adapters.copy()
    for prefix, adapter in list(ours.adapters.items()):
        if type(adapter) is HTTPAdapter:
            ours.adapters[prefix] = CooperativeAdapter()
    return ours


def _find_origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or DEFAULT_PORTS.get(scheme)
