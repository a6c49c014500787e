"""What the dashboard is told by its environment. Nothing else in the dashboard reads it."""

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from skerry.core import errors


class Settings(BaseSettings):
    """Variables named `SKERRY_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="SKERRY_", frozen=True, extra="ignore")

    objects: str
    """`sqlite:///path/objects.db`: only read."""

    redis_url: str
    """Live readings. May be down: the page then says so and shows the rest."""

    http: str = "127.0.0.1:0"
    """`host:port` of the page; port 0: any. It asks nobody who he is, so it stays on loopback unless told otherwise."""

    max_streams: int = Field(default=64, ge=1, le=10_000)
    """Pages that may follow live at once; further ones refresh by themselves."""

    log_level: str = "INFO"
    """The least serious log lines that are written: DEBUG, INFO, WARNING or ERROR."""


def read() -> Settings:
    """From the environment. Raises InputError naming every variable that is missing or wrong."""
    try:
        return Settings()  # type: ignore[call-arg]  # pydantic reads the environment
    except ValidationError as exc:
        wrong = [f"SKERRY_{'_'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in exc.errors()]
        raise errors.InputError(f"the environment of the dashboard is not right: {'; '.join(wrong)}") from exc
