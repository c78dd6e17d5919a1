"""Which proxy a client goes through."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from faye_ws.connecting.proxies import Proxy, choose_proxy
from faye_ws.driver.uri import parse_url


def proxy_for(url: str) -> str | None:
    """Return the host of the proxy that the environment has for a URL."""
    proxy = choose_proxy(None, parse_url(url))
    return None if proxy is None else proxy.host


@pytest.mark.parametrize(
    ("variables", "plain", "secure"),
    [
        ({}, None, None),
        ({"http_proxy": "p"}, "p", None),
        ({"https_proxy": "p"}, None, "p"),
        ({"all_proxy": "p"}, "p", "p"),
        ({"http_proxy": "p", "all_proxy": "q"}, "p", "q"),
        ({"https_proxy": "", "all_proxy": "q"}, "q", "q"),
        ({"HTTP_PROXY": "p", "HTTPS_PROXY": "q"}, "p", "q"),
        ({"ALL_PROXY": "p"}, "p", "p"),
        ({"http_proxy": "p", "HTTP_PROXY": "q"}, "p", None),
        # As in curl, an empty name in lower case hides the other.
        ({"http_proxy": "", "HTTP_PROXY": "q"}, None, None),
    ],
)
def test_the_environment_has_a_proxy_for_each_scheme(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    plain: str | None,
    secure: str | None,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (proxy_for("ws://h/"), proxy_for("wss://h/")) == (plain, secure)


def test_what_a_cgi_server_has_made_of_a_header_is_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A request with the header "Proxy" would choose it (CVE-2016-5385 and its like).
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    monkeypatch.setenv("HTTP_PROXY", "evil")
    assert proxy_for("ws://h/") is None
    monkeypatch.setenv("ALL_PROXY", "p")
    monkeypatch.setenv("HTTPS_PROXY", "q")
    assert (proxy_for("ws://h/"), proxy_for("wss://h/")) == ("p", "q")
    monkeypatch.setenv("http_proxy", "r")
    assert proxy_for("ws://h/") == "r"


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_excepted"),
    [
        ("*", "ws://h/", True),
        ("h", "ws://h/", True),
        ("h", "ws://h:8000/", True),
        ("H", "ws://h/", True),
        ("h:80", "ws://h/", True),
        ("h:443", "wss://h/", True),
        ("h:80", "ws://h:81/", False),
        ("h:443", "ws://h/", False),
        ("h:x", "ws://h/", False),
        ("h:", "ws://h/", False),
        ("x", "ws://h/", False),
        ("example.com", "ws://example.com/", True),
        ("example.com", "ws://a.b.example.com/", True),
        ("example.com", "ws://notexample.com/", False),
        ("example.com", "ws://com/", False),
        (".example.com", "ws://example.com/", True),
        (".example.com", "ws://a.example.com/", True),
        (".example.com", "ws://notexample.com/", False),
        (".example.com:8000", "ws://a.example.com:8000/", True),
        (".example.com:8000", "ws://a.example.com/", False),
        ("a.example.com", "ws://example.com/", False),
        ("x, h", "ws://h/", True),
        ("x h", "ws://h/", True),
        ("x,,h,", "ws://h/", True),
        ("", "ws://h/", False),
        (",", "ws://h/", False),
        ("127.0.0.1", "ws://127.0.0.1/", True),
        ("127.0.0.1:80", "ws://127.0.0.1/", True),
        ("127.0.0.1:81", "ws://127.0.0.1/", False),
        ("127.0.0.0/8", "ws://127.1.2.3/", True),
        ("127.0.0.1/8", "ws://127.1.2.3/", True),
        ("10.0.0.0/8", "ws://127.0.0.1/", False),
        ("10.0.0.0/8", "ws://h/", False),
        ("::1", "ws://[::1]/", True),
        ("::/64", "ws://[::1]/", True),
        ("::1", "ws://[::2]/", False),
        ("[::1]", "ws://[::1]/", True),
        ("[::1]:80", "ws://[::1]/", True),
        ("[::1]:81", "ws://[::1]/", False),
        ("[::2]:80", "ws://[::1]/", False),
    ],
)
def test_no_proxy_names_what_is_reached_without(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, is_excepted: bool
) -> None:
    monkeypatch.setenv("all_proxy", "p")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert proxy_for(url) == (None if is_excepted else "p")
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(url) == (None if is_excepted else "p")
    # What the application says itself has no exceptions.
    assert choose_proxy("http://q", parse_url(url)) is not None
    assert choose_proxy(False, parse_url(url)) is None


@pytest.mark.parametrize(
    ("url", "scheme", "port"),
    [
        ("h", "http", 80),
        ("h:3128", "http", 3128),
        ("http://h", "http", 80),
        ("https://h", "https", 443),
        ("socks5://h", "socks5", 1080),
        ("socks5h://h", "socks5h", 1080),
        ("socks5h://h:81", "socks5h", 81),
    ],
)
def test_a_proxy_has_the_port_of_its_scheme(url: str, scheme: str, port: int) -> None:
    proxy = choose_proxy(url, parse_url("ws://x/"))
    assert proxy is not None
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, "h", port)
    assert (proxy.tls is not None) == (scheme == "https")


@pytest.mark.parametrize(
    "url",
    ["a..b", f"http://{'x' * 64}.com", "socks5://a b", f"socks5://{'u' * 256}:p@h", "h:99999"],
)
def test_what_can_be_no_proxy_is_an_error_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        choose_proxy(url, parse_url("ws://x/"))


def chosen(option: Any) -> Proxy:
    """Return the proxy that an option names."""
    proxy = choose_proxy(option, parse_url("ws://x/"))
    assert proxy is not None
    return proxy


def test_a_proxy_may_come_with_headers_and_trust_of_its_own() -> None:
    context = ssl.create_default_context()
    proxy = chosen({"origin": "https://h:8443", "headers": {"X": "y"}, "tls": context})
    assert (proxy.scheme, proxy.host, proxy.port) == ("https", "h", 8443)
    assert list(proxy.headers) == [("X", "y")]
    assert proxy.tls is not None
    assert proxy.tls.context is context
    assert list(chosen({"origin": "http://h"}).headers) == []
    assert list(chosen({"origin": "http://h", "headers": None}).headers) == []


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (1, "False, a URL, or a mapping"),
        (True, "False, a URL, or a mapping"),
        ({}, "False, a URL, or a mapping"),
        ({"headers": {}}, "False, a URL, or a mapping"),
        (["origin"], "False, a URL, or a mapping"),
        ({"origin": "http://h", "y": 1, "x": 2}, "unknown options of proxy: x, y"),
    ],
)
def test_what_is_no_option_is_a_type_error(option: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        chosen(option)


@pytest.mark.parametrize("url", ["ftp://h", "http://", "ws://h", "http://user@", "socks4://h"])
def test_a_url_of_no_proxy_is_refused_without_its_credentials(url: str) -> None:
    with pytest.raises(ValueError, match="not the URL of a proxy"):
        chosen(url)
    with pytest.raises(ValueError, match="not the URL of a proxy") as caught:
        chosen("ftp://user:secret@h")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("option", [{"headers": {"X": "y"}}, {"tls": {}}])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_has_no_headers_and_no_tls(scheme: str, option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no headers and no TLS"):
        chosen({"origin": f"{scheme}://h", **option})
    assert chosen({"origin": f"{scheme}://h", "headers": {}}).is_socks


@pytest.mark.parametrize(
    ("user", "username", "password", "authorization"),
    [
        ("", None, None, None),
        ("u:p@", "u", "p", "Basic dTpw"),
        ("u@", "u", None, "Basic dTo="),
        ("u:@", "u", "", "Basic dTo="),
        ("%C3%BC:p%40ss%3A@", "\u00fc", "p@ss:", "Basic w7w6cEBzczo="),
    ],
)
def test_the_credentials_of_a_proxy_are_decoded(
    user: str, username: str | None, password: str | None, authorization: str | None
) -> None:
    for scheme in ("http", "https", "socks5"):
        proxy = chosen(f"{scheme}://{user}h")
        assert (proxy.username, proxy.password) == (username, password)
        assert proxy.authorization == authorization
        assert proxy.is_socks == (scheme == "socks5")


def test_a_name_for_http_may_be_longer_than_one_for_socks() -> None:
    name = "u" * 256
    assert chosen(f"http://{name}@h").username == name
    with pytest.raises(ValueError, match="255 bytes"):
        chosen(f"socks5h://{name}@h")
    # RFC 1929, 2: a name has "1 to 255" bytes.
    with pytest.raises(ValueError, match="255 bytes"):
        chosen("socks5h://:p@h")
