"""One link to Redis or Valkey: time-outs on everything, reconnect after a lost or demoted server, our errors only."""

import contextlib
from collections.abc import Iterator
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from skerry.core import errors, urls

ANSWER_S = 5.0  # any one answer; a blocking read blocks for less
_CONNECT_S = 2.0


def connect(url: str) -> redis.Redis:
    """A client of `redis://host:port/db` or `unix:///path/valkey.sock`; connects when first used."""
    if urls.split(url, "Redis URL").scheme not in ("redis", "rediss", "unix"):
        raise errors.InputError(
            f"Redis URL {urls.without_secret(url)!r} must begin with redis://, rediss:// or unix://"
        )
    try:
        return _client(url)
    except ValueError as exc:
        reason = urls.hide_secrets(str(exc), url)
        # Not chained: what the library says may hold the password.
        raise errors.InputError(f"Redis URL {urls.without_secret(url)!r} cannot be used: {reason}") from None


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=_CONNECT_S,
        # A command whose answer did not come in time may have been done, so it is not sent again.
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2, supported_errors=(redis.ConnectionError,)),
        health_check_interval=30,
    )


@contextlib.contextmanager
def our_errors(client: Any) -> Iterator[None]:
    """Lets only UnavailableError out; drops the connections to a server that became read-only or loads its data."""
    try:
        yield
    except (redis.ReadOnlyError, redis.BusyLoadingError) as exc:
        client.connection_pool.disconnect(inuse_connections=False)  # other threads read from theirs
        raise errors.UnavailableError(f"Redis is not ready for writing: {exc}") from exc
    except redis.OutOfMemoryError as exc:
        raise errors.UnavailableError("Redis has reached its maxmemory and takes no more entries") from exc
    except redis.RedisError as exc:
        raise errors.UnavailableError(f"Redis did not answer: {exc}") from exc


def memory(client: Any) -> tuple[int, int]:
    """Bytes that the server uses, and its maxmemory (0: none). Raises UnavailableError."""
    with our_errors(client):
        said = client.info("memory")
    return int(said.get("used_memory", 0)), int(said.get("maxmemory", 0))


def eviction_policy(client: Any) -> str:
    """The server's maxmemory-policy: anything but `noeviction` may delete a whole queue. Empty: it does not tell."""
    with our_errors(client):
        try:
            return str(client.config_get("maxmemory-policy").get("maxmemory-policy", ""))
        except redis.ResponseError:
            return ""  # managed servers forbid CONFIG
