"""What the dashboard is told by its environment. Nothing else in the dashboard reads it."""

from pydantic import Field

from skerry.adapters import service_settings


class Settings(service_settings.ServiceSettings):
    """Variables named `SKERRY_<FIELD>`."""

    objects: str
    """`sqlite:///path/objects.db`: only read."""

    redis_url: str
    """Live readings. May be down: the page then says so and shows the rest."""

    http: str = "127.0.0.1:0"
    """`host:port` of the page; port 0: any. It asks nobody who he is, so it stays on loopback unless told otherwise."""

    base_path: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    """Path that a proxy shows the page below and passes on, like `/skerry`; a proxy that strips it needs none."""

    hosts: str = ""
    """Names that the page answers to, with commas between, like `fleet.example.com`; `*.` in front takes subdomains,
    `*` is any. Addresses, `localhost`, names without a dot and those of a cluster's services need none: no other site
    can have them."""

    max_streams: int = Field(default=64, ge=1, le=10_000)
    """Pages that may follow live at once; further ones refresh by themselves."""

    health: str = ""
    """`host:port` of a plain HTTP listener for /healthz, /readyz and /metrics; empty: none."""

    log_level: str = "INFO"
    """The least serious log lines that are written: DEBUG, INFO, WARNING or ERROR."""

    @property
    def hosts_given(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.hosts.split(",") if name.strip())


def read() -> Settings:
    """From the environment. Raises InputError naming every variable that is missing or wrong."""
    return service_settings.read(Settings, "dashboard")
