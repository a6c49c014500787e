"""The base of the settings of every service that has pydantic: variables `SKERRY_<FIELD>`, read once, all faults told
together and no value repeated, for it may be a password. The agent and the teacher read theirs with
`adapters.environment`.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from skerry.core import errors

_SettingsT = TypeVar("_SettingsT", bound="ServiceSettings")


class ServiceSettings(BaseSettings):
    """An empty variable counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix="SKERRY_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )


def read(kind: type[_SettingsT], service: str) -> _SettingsT:
    """From the environment. Raises InputError naming every variable that is missing or wrong."""
    try:
        return kind()
    except ValidationError as exc:
        wrong = [f"{_variable(kind, fault['loc'])}: {fault['msg']}" for fault in exc.errors(include_input=False)]
        # Not chained: what pydantic says may hold a value.
        raise errors.InputError(f"the environment of the {service} is not right: {'; '.join(wrong)}") from None


def _variable(kind: type[ServiceSettings], location: Sequence[Any]) -> str:
    """A field is named after its variable; one with a name of its own is told by that."""
    field = str(location[0])
    prefix = kind.model_config.get("env_prefix", "") if field in kind.model_fields else ""
    return f"{prefix}{'_'.join(map(str, location))}".upper()
