"""The trainer's settings, from the environment: which run, where objects and blobs are, and who labels old data."""

from pydantic import Field

from skerry.adapters import service_settings


class Settings(service_settings.ServiceSettings):
    """Read once by `main` and by `teach`."""

    objects: str = Field(default="", description="URL of the object store; only `teach` looks there")
    blobs: str = Field(description="URL of the blob root: file:///path, the gateway's door, or any fsspec URL")
    run: str = Field(default="", description="name of the TrainingRun; `teach` needs none")
    ticket: str = Field(default="", description="of a job whose blobs are behind the gateway's door (https://…)")
    ca: str = Field(default="", description="PEM text, or a file of it: who signed the gateway's certificate")
    workers: int = Field(default=1, ge=1, validation_alias="WORLD_SIZE", description="as torch's launcher has it")
    rank: int = Field(default=0, ge=0, validation_alias="RANK", description="which of the workers this is")
    teacher: str = Field(default="", description="host:port of an OIP v2 server with the large model; empty: none")


def read() -> Settings:
    """From the environment. Raises InputError naming every variable that is missing or wrong."""
    return service_settings.read(Settings, "trainer")
