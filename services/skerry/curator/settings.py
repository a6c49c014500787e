"""The curator's settings from its environment. Nothing else in the curator reads it."""

from pydantic import Field

from skerry.adapters import service_settings


class Settings(service_settings.ServiceSettings):
    """Variables named `SKERRY_<FIELD>`."""

    objects: str
    """`sqlite:///path/objects.db`: the models, their classes and their imported dataset."""

    blobs: str
    """URL of the blob root: examples, truths, labels and datasets."""

    redis_url: str
    """The stream of new work, evidence counters and the reading. May be down: a re-scan of the blobs finds the work."""

    teacher: str
    """`host:port` of an OIP v2 server with the large model. May be away: work waits."""

    batch_rows: int = Field(default=64, ge=1, le=4096)
    """Examples labelled by one request to the teacher."""

    teacher_timeout_seconds: float = Field(default=10.0, gt=0, le=600)
    """Longest time for one request to the teacher; work that got no answer waits and is tried again."""

    temperature: float = Field(default=1.0, gt=0, le=100)
    """Softens the teacher's answer: soft labels are softmax(logits / temperature)."""

    idle_seconds: float = Field(default=30.0, gt=0, le=86_400)
    """Stream entries that another curator read and did not look at for so long are taken over. With the time-out of the
    teacher on top: after how long without a sign what it had in hand is a dead one's."""

    rescan_seconds: float = Field(default=30.0, gt=0, le=86_400)
    """How often it is looked after what is left to do, and what the stream did not take."""

    audit_seconds: float = Field(default=21_600.0, ge=60, le=366 * 86_400)
    """How often all of object storage is listed and compared with what is labelled, besides at each start and when the
    stream was lost; no example that is known is read."""

    publish_examples: int = Field(default=100, ge=1)
    """New labels after which a dataset is published at once."""

    publish_seconds: float = Field(default=5.0, gt=0, le=86_400)
    """Longest time until a change of labels is in a published dataset."""

    max_captured_bytes: int = Field(default=128 << 20, ge=1 << 20)
    """Bytes of captured rows that the datasets of one model hold, in storage (in memory: 64 MiB of them); beyond it the
    oldest go, of the node that takes most."""

    keep_datasets_seconds: float = Field(default=3600.0, ge=60, le=366 * 86_400)
    """How long a dataset stays after another took its place, when no run and no version names it."""

    health: str = ""
    """`host:port` of a plain HTTP listener for /healthz, /readyz and /metrics; empty: none."""

    log_level: str = "INFO"
    """The least serious log lines that are written: DEBUG, INFO, WARNING or ERROR."""

    @property
    def stale_s(self) -> float:
        """After how long without a change what another curator has in hand is taken over."""
        return self.idle_seconds + self.teacher_timeout_seconds


def read() -> Settings:
    """From the environment. Raises InputError naming every variable that is missing or wrong."""
    return service_settings.read(Settings, "curator")
