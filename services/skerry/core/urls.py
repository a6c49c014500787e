"""URLs of paths, and URLs as they may be shown: in a log, an error, a page, a password or a key is never repeated.

What is shown was often just refused, so showing never fails. A path in a URL is percent-encoded where the URL is made
and decoded where it is read, so that folders may have `#`, `?` and `%` in their names.
"""

import re
from urllib.parse import SplitResult, quote, unquote, urlsplit

from skerry.core import errors

HIDDEN = "***"
_END_OF_HOST = re.compile(r"[/?#]")
_SECRET_FIELD = re.compile(r"pass|pwd|secret|token|key|sig|cred|auth|sas", re.IGNORECASE)


def split(url: str, what: str) -> SplitResult:
    """`url` in its parts. Raises InputError that names `what` for a URL that has none; no secret is in its text."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # checked only when it is asked for
    except ValueError as exc:
        # Not chained: the words of the library may hold the password.
        raise errors.InputError(f"{what} {without_secret(url)!r} is no URL: {hide_secrets(str(exc), url)}") from None
    return parts


def of_path(scheme: str, path: str) -> str:
    """The URL of an absolute path: `file:///var/lib/C%23`."""
    return f"{scheme}://{quote(path, errors='surrogateescape')}"


def path_of(url: str, what: str) -> str:
    """The path that a URL made by `of_path` names, decoded. Raises InputError that names `what` where a `#` or `?` of a
    path was not encoded: what stands behind it would be lost, and another folder written."""
    parts = split(url, what)
    if "?" in url or "#" in url:
        raise errors.InputError(
            f"{what} {without_secret(url)!r} is cut by its # or ?: in a URL a path has %23 for #, %3F for ?, "
            "and %25 for %"
        )
    return unquote(parts.path, errors="surrogateescape")


def without_secret(url: str) -> str:
    """`url` with user, password and secret query fields replaced by `***`; never raises."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    head, mark, query = _without_login(rest, is_url=bool(separator)).partition("?")
    return scheme + separator + head + mark + "&".join(map(_shown_field, query.split("&")))


def hide_secrets(text: str, url: str) -> str:
    """`text` (the words of a library that was given `url`) without the secrets of that URL."""
    text = text.replace(url, without_secret(url))
    for secret in _secrets(url):
        text = text.replace(secret, HIDDEN)
    return text


def _without_login(rest: str, *, is_url: bool) -> str:
    """What stands before the last `@` is a login, unless it is a host without colon and a path (`s3://bucket/a@b`): a
    password may hold the signs that end a host (`/`, `?`, `#`), though it should not."""
    before, at, host = rest.rpartition("@")
    authority = _END_OF_HOST.split(rest, maxsplit=1)[0]
    if not at or (is_url and ":" not in before and "@" not in authority):
        return rest
    return f"{HIDDEN}@{host}"


def _shown_field(field: str) -> str:
    name, equals, _ = field.partition("=")
    return f"{name}={HIDDEN}" if equals and _SECRET_FIELD.search(name) else field


def _secrets(url: str) -> list[str]:
    """Passwords and secret query values, the longest first; one of few letters would hide ordinary words."""
    rest = url.partition("://")[2] or url
    login = rest.rpartition("@")[0] if _without_login(rest, is_url="://" in url) != rest else ""
    fields = (field.partition("=") for field in rest.partition("?")[2].split("&"))
    found = [login, login.partition(":")[2], *(value for name, _, value in fields if _SECRET_FIELD.search(name))]
    return sorted((secret for secret in found if len(secret) > 3), key=len, reverse=True)
