"""Addresses as people write them, and as they are shown: IPv6 in brackets, in one place."""

import pytest

from skerry.core import addresses, errors


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8001", "127.0.0.1", 8001),
        ("gateway.example:443", "gateway.example", 443),
        ("localhost:0", "localhost", 0),
        ("0.0.0.0:8001", "0.0.0.0", 8001),
        ("[::]:8001", "::", 8001),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
    ],
)
def test_an_address_is_read_and_shown_as_it_was_written(text: str, host: str, port: int) -> None:
    assert addresses.parse("SKERRY_LISTEN", text) == (host, port)
    assert addresses.show(host, port) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8001",
        ":8001",
        "host:",
        "host:port",
        "host:70000",
        "host:-1",
        "host:٣",
        "[]:1",
        "[host]:1",
        "http://a:1",
        "a :1",
    ],
)
def test_what_is_no_address_is_refused_by_the_settings_name(text: str) -> None:
    with pytest.raises(errors.InputError, match="SKERRY_LISTEN must be host:port"):
        addresses.parse("SKERRY_LISTEN", text)


@pytest.mark.parametrize("text", ["::1", "::1:8001", ":::8001", "fe80::1:22"])
def test_an_ipv6_host_without_brackets_is_refused_since_its_last_group_could_be_the_port(text: str) -> None:
    with pytest.raises(errors.InputError, match=r"brackets stand around an IPv6 host, like \[::1\]:8001"):
        addresses.parse("SKERRY_LISTEN", text)


def test_an_endless_address_is_refused_without_repeating_it() -> None:
    with pytest.raises(errors.InputError) as caught:
        addresses.parse("SKERRY_LISTEN", "a" * 100_000 + ":1")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_a_wildcard_is_where_nobody_can_be_sent(host: str) -> None:
    assert addresses.is_wildcard(host)
    assert not addresses.is_loopback(host)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "::1", "[::1]", "::ffff:127.0.0.1"])
def test_loopback_in_every_spelling(host: str) -> None:
    assert addresses.is_loopback(host)
    assert not addresses.is_wildcard(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "gateway", "127.example.com", "localhost.example.com", "1270.0.0.1"])
def test_any_other_host_is_not_loopback(host: str) -> None:
    assert not addresses.is_loopback(host)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("skerry.example.com", "skerry.example.com"),
        ("*.edge.example.com", "*.edge.example.com"),
        ("skerry-gateway", "skerry-gateway"),
        ("10.0.0.30", "10.0.0.30"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_a_host_of_a_certificate_is_a_name_or_an_ip_address(text: str, host: str) -> None:
    assert addresses.check_host("--host", text) == host


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("https://skerry.example.com", "is a URL", id="a URL"),
        pytest.param("skerry.example.com:8443", "has a port", id="a port"),
        pytest.param("[2001:db8::1]", "without brackets", id="brackets"),
        pytest.param("[2001:db8::1]:8443", "without brackets and without a port", id="brackets and a port"),
        pytest.param("10.0.0.300", "is no IP address", id="a number too large"),
        pytest.param("10.0.0", "is no IP address", id="a number too few"),
        pytest.param("münchen.example", "'xn--mnchen-3ya.example'", id="letters beyond ASCII"),
        pytest.param("", "neither", id="nothing"),
        pytest.param("a b", "neither", id="a blank"),
        pytest.param("skerry.example.com/", "neither", id="a path"),
        pytest.param("a..b", "neither", id="an empty label"),
        pytest.param("edge.*.example", "neither", id="a star inside"),
        pytest.param("a" * 64, "neither", id="a label too long"),
    ],
)
def test_what_no_certificate_can_name_is_refused_with_what_it_is(text: str, said: str) -> None:
    with pytest.raises(errors.InputError) as caught:
        addresses.check_host("--host", text)
    assert said in str(caught.value)
    assert "--host" in str(caught.value)


@pytest.mark.parametrize("text", ["redis://app:not-for-logs@host/0", "app:not-for-logs@host:8001"])
def test_a_url_in_the_place_of_an_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(errors.InputError, match="SKERRY_HTTP must be host:port") as caught:
        addresses.parse("SKERRY_HTTP", text)
    assert "not-for-logs" not in str(caught.value)
