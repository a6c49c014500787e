"""A service that answers no requests says over HTTP whether it still does its rounds and hears its watches."""

import urllib.error
import urllib.request

import pytest

from skerry.adapters import heartbeat
from skerry.core import errors


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("age_s", "silent_s", "alive"),
    [
        pytest.param(1.0, 1.0, True, id="rounds go on and watches are heard"),
        pytest.param(heartbeat.ROUND_S + 1, 1.0, False, id="a round that does not end"),
        pytest.param(1.0, heartbeat.SILENT_S + 1, False, id="watches that stay silent though rounds go on"),
    ],
)
def test_alive(age_s: float, silent_s: float, alive: bool) -> None:
    clock = Clock()
    beating = heartbeat.Heartbeat("curator", lambda: silent_s, clock)
    beating.beat()
    clock.now += age_s
    assert beating.is_alive is alive


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def test_it_is_told_over_http_while_the_service_itself_is_stuck() -> None:
    clock = Clock()
    beating = heartbeat.Heartbeat("controller", lambda: 3.0, clock)
    port = beating.serve("127.0.0.1:0")
    assert asked(port, "/healthz") == (200, "ok\n")
    assert "skerry_watch_last_event_age_seconds 3.000" in asked(port, "/metrics")[1]
    clock.now += heartbeat.ROUND_S + 1
    assert asked(port, "/readyz")[0] == 503
    with pytest.raises(errors.UnavailableError, match=f"cannot listen on 127.0.0.1:{port}"):
        heartbeat.Heartbeat("other").serve(f"127.0.0.1:{port}")
