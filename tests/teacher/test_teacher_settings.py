"""The teacher's settings: safe defaults, and every fault named."""

import pytest

from skerry.core import errors
from skerry.teacher import settings


def test_settings_have_safe_defaults() -> None:
    found = settings.read({"SKERRY_MODELS": "/models"})
    assert (found.listen, found.http, found.transport, found.threads) == (("127.0.0.1", 8001), None, "h2", 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SKERRY_LISTEN", "8001"),
        ("SKERRY_LISTEN", "host:port"),
        ("SKERRY_HTTP", ":80"),
        ("SKERRY_HTTP", "host:70000"),
        ("SKERRY_TRANSPORT", "quic"),
        ("SKERRY_THREADS", "-1"),
        ("SKERRY_MEMORY_LIMIT_MB", "lots"),
        ("SKERRY_MODELS", ""),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(errors.InputError, match=name):
        settings.read({"SKERRY_MODELS": "/models", name: value})
