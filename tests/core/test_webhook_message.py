"""A webhook's message is signed as the standard says, is bounded, and goes only where it may."""

import json

import pytest

from skerry.core import errors, webhook_message
from skerry.core.webhook_events import Event

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    """https://github.com/standard-webhooks/standard-webhooks: the vector that its libraries share."""
    made = webhook_message.signature(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', webhook_message.key(SECRET)
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_is_sent_names_the_event_and_is_bounded() -> None:
    event = Event("u.1.started", "rollout.started", 1_700_000_000_123, {"rollout": "r"})
    body = webhook_message.body(event)
    assert json.loads(body) == {
        "type": "rollout.started",
        "timestamp": "2023-11-14T22:13:20.123Z",
        "data": {"rollout": "r"},
    }
    sent = webhook_message.headers(event, body, webhook_message.key(SECRET), 7)
    assert (sent["webhook-id"], sent["webhook-timestamp"]) == ("u.1.started", "7")
    assert sent["webhook-signature"] == webhook_message.signature("u.1.started", 7, body, webhook_message.key(SECRET))
    huge = Event("x", "rollout.paused", 0, {"reasons": ["x" * 1000] * 100})
    assert len(webhook_message.body(huge)) <= webhook_message.MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        pytest.param("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "without its prefix", id="without its prefix"),
        pytest.param("whsec_c2hvcnQ=", "too short", id="too short"),
        pytest.param("whsec_not base64!", "no base64", id="no base64"),
        pytest.param("", "empty", id="empty"),
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(secret: str, why: str) -> None:
    with pytest.raises(errors.InputError) as told:
        webhook_message.key(secret)
    assert not secret or secret.removeprefix("whsec_") not in str(told.value)


@pytest.mark.parametrize(
    ("url", "port", "path"),
    [
        ("https://hooks.example/x?y=1", 443, "/x?y=1"),
        ("http://10.1.2.3:8080", 8080, "/"),
        ("https://[2001:db8::1]/a", 443, "/a"),
    ],
)
def test_a_url_in_its_parts(url: str, port: int, path: str) -> None:
    found = webhook_message.target(url)
    assert (found.port, found.path, found.is_tls) == (port, path, url.startswith("https"))


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "gopher://x/", "https://", "hooks.example", "https://me:Open5@h.example/", "https://h/a b",
     "https://h/#x", "https://h:99999/"],
)  # fmt: skip
def test_what_is_no_place_to_send_to_is_refused_without_a_password(url: str) -> None:
    with pytest.raises(errors.InputError) as told:
        webhook_message.target(url)
    assert "Open5" not in str(told.value)


@pytest.mark.parametrize(
    ("address", "allow", "tls", "may"),
    [
        pytest.param("93.184.216.34", "", True, True, id="a public address"),
        pytest.param("93.184.216.34", "", False, False, id="a public address without TLS"),
        pytest.param("127.0.0.1", "", True, False, id="this machine"),
        pytest.param("169.254.169.254", "", True, False, id="the metadata of a cloud"),
        pytest.param("10.0.0.7", "", True, False, id="a private address"),
        pytest.param("10.0.0.7", "10.0.0.0/8", True, True, id="a private address that is allowed"),
        pytest.param("10.0.0.7", "10.0.0.0/8", False, True, id="the same without TLS"),
        pytest.param("11.0.0.7", "10.0.0.0/8", False, False, id="one beside it"),
        pytest.param("::1", "", True, False, id="this machine by IPv6"),
        pytest.param("::ffff:10.0.0.7", "", True, False, id="a private address in IPv6 clothes"),
        pytest.param("fd00::1", "fd00::/8", True, True, id="a private address of IPv6 that is allowed"),
        pytest.param("224.0.0.1", "", True, False, id="many machines"),
        pytest.param("0.0.0.0", "", True, False, id="any address"),
    ],
)
def test_where_it_may_be_sent(address: str, allow: str, tls: bool, may: bool) -> None:
    allowed = webhook_message.networks(allow)
    if may:
        webhook_message.check_address(address, allowed, is_tls=tls)
    else:
        with pytest.raises(errors.RejectedError, match="SKERRY_WEBHOOK_ALLOW"):
            webhook_message.check_address(address, allowed, is_tls=tls)


def test_networks_that_are_none_are_refused() -> None:
    with pytest.raises(errors.InputError, match="SKERRY_WEBHOOK_ALLOW"):
        webhook_message.networks("10.0.0.0/8,everybody")
