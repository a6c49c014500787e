"""The trainer's settings, from the environment: which run, where objects and blobs are, and who labels old data."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once by `main` (and, without a run, by `teach`)."""

    model_config = SettingsConfigDict(env_prefix="SKERRY_", frozen=True)

    objects: str = Field(description="URL of the object store, sqlite:///path/objects.db")
    blobs: str = Field(description="URL of the blob root, file:///path or any fsspec URL")
    run: str = Field(default="", description="name of the TrainingRun")
    teacher: str = Field(default="", description="host:port of an OIP v2 server with the large model; empty: none")
