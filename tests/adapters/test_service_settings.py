"""Settings of a service: every fault named by its variable, and no value repeated."""

import os
import subprocess
import sys

import pytest
from pydantic import Field

from skerry.adapters import service_settings
from skerry.core import errors


class Settings(service_settings.ServiceSettings):
    redis_url: str
    tries: int = Field(default=1, ge=1)
    folder: str | None = None
    rank: int = Field(default=0, ge=0, validation_alias="RANK")


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("SKERRY_"):
            monkeypatch.delenv(name)


def told() -> str:
    with pytest.raises(errors.InputError) as caught:
        service_settings.read(Settings, "example")
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_all_faults_are_told_together_by_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_TRIES", "0")
    monkeypatch.setenv("RANK", "first")
    text = told()
    assert text.startswith("the environment of the example is not right: ")
    assert ["SKERRY_REDIS_URL: " in text, "SKERRY_TRIES: " in text, "; RANK: " in text] == [True] * 3


def test_a_value_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_REDIS_URL", "redis://app:not-for-logs@host/0")
    monkeypatch.setenv("SKERRY_TRIES", "not-for-logs")
    assert "not-for-logs" not in told()


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKERRY_REDIS_URL", "redis://host/0")
    monkeypatch.setenv("SKERRY_TRIES", "")
    monkeypatch.setenv("SKERRY_FOLDER", "")
    found = service_settings.read(Settings, "example")
    assert (found.tries, found.folder) == (1, None)
    monkeypatch.setenv("SKERRY_REDIS_URL", "")
    assert "SKERRY_REDIS_URL" in told()


@pytest.mark.parametrize("service", ["gateway", "curator", "dashboard"])
def test_a_service_with_wrong_settings_says_which_and_shows_no_traceback(service: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SKERRY_")}
    given = {"SKERRY_OBJECTS": "sqlite:///x.db", "SKERRY_REDIS_URL": "", "SKERRY_LOG_LEVEL": "INFO"}
    ended = subprocess.run(
        [sys.executable, "-m", f"skerry.{service}.main"], env=environment | given, capture_output=True, timeout=60
    )
    said = ended.stdout.decode() + ended.stderr.decode()
    assert ended.returncode != 0
    assert f"the environment of the {service} is not right" in said
    assert "SKERRY_REDIS_URL" in said
    assert "Traceback" not in said
