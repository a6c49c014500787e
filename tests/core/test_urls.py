"""What may be shown of a URL: where it leads, and no secret, however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import errors, urls

SECRET = "not-for-logs"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis://app:{SECRET}@redis.example.com/0", "redis://***@redis.example.com/0"),
        (f"valkey://:{SECRET}@redis.example.com:6379/0", "valkey://***@redis.example.com:6379/0"),
        (f"minio://KEY:{SECRET}@store.example.com/b", "minio://***@store.example.com/b"),
        (f"redis+sentinel://a:{SECRET}@[::1]:26379/name", "redis+sentinel://***@[::1]:26379/name"),
        (f"redis://host/0?password={SECRET}&db=1", "redis://host/0?password=***&db=1"),
        (f"az://c/b?sig={SECRET}", "az://c/b?sig=***"),
        (f"app:{SECRET}@redis.example.com:6379", "***@redis.example.com:6379"),
        (f"https://{SECRET}@host/x", "https://***@host/x"),
        (f"http://[bad:{SECRET}@host", "http://***@host"),
    ],
)
def test_a_secret_is_never_shown(url: str, shown: str) -> None:
    assert urls.without_secret(url) == shown
    assert SECRET not in urls.hide_secrets(f"cannot use {url!r}; tried {SECRET}", url)


@pytest.mark.parametrize("password", ["a/b", "a?b", "a#b", "a@b", "12/34", "a:b", "ä%2F"])
def test_a_password_with_the_signs_that_end_a_host_is_hidden_whole(password: str) -> None:
    assert urls.without_secret(f"redis://app:{password}@host/0") == "redis://***@host/0"


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:6379/0",
        "unix:///run/valkey.sock",
        "s3://bucket/models@home",
        "file:///var/lib/skerry/blobs",
        "kubernetes://skerry?context=kind-skerry",
        "sqlite:///state/objects.db",
        "gateway:8443",
        "",
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(url: str) -> None:
    assert urls.without_secret(url) == url
    assert urls.hide_secrets("it did not answer", url) == "it did not answer"


@given(st.text(max_size=40), st.text(min_size=4, max_size=20))
def test_any_password_before_a_host_is_hidden(user: str, password: str) -> None:
    shown = urls.without_secret(f"redis://{user}:{password}@host/0")
    assert shown == "redis://***@host/0"


@pytest.mark.parametrize("path", ["/var/lib/C#/press", "/why?/press", "/50%2Fpress", "/a b/ö", "/plain", "/a\udcff"])
def test_the_url_of_a_path_names_that_path(path: str) -> None:
    url = urls.of_path("file", path)
    assert urls.path_of(url, "storage") == path
    assert not set("#? ") & set(url)
    assert urls.of_path("file", "/plain/a-b_c.d") == "file:///plain/a-b_c.d"


@pytest.mark.parametrize("url", ["file:///var/C#/press", "sqlite:////why?/objects.db"])
def test_a_path_that_its_url_would_cut_is_refused(url: str) -> None:
    with pytest.raises(errors.InputError, match="%23 for #"):
        urls.path_of(url, "storage")
