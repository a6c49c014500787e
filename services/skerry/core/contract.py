"""What services agree on without importing one another: names of blobs, of the stream, of live readings and counters,
and how much of each is taken. A stored name never changes: what an earlier release wrote must still be found.

What is inside stands elsewhere: `proto/` for messages, `core.datasets`, `core.snapshots` and `core.manifest` for
documents. Content by digest is `core.digests.blob_path`.
"""

from enum import StrEnum

from skerry.core import digests

# The fleet's services, as methods are called.
SYNC, UPLOAD, RENEW = "/skerry.fleet.v1.Fleet/Sync", "/skerry.fleet.v1.Fleet/Upload", "/skerry.fleet.v1.Fleet/Renew"
ENROL = "/skerry.fleet.v1.Enrolment/Enrol"

# An upload: agent to gateway.
MAX_UPLOAD_RECORDS = 64
MAX_EXAMPLE_BYTES = 8 << 20  # a row of one camera's frame, with what is said of it
SHARED_UPLOAD_BYTES = 3 << 20  # of a request with several records; a larger record travels alone
MAX_UPLOAD_FRAMING_BYTES = 4096  # of a request with one record, at most
MAX_UPLOAD_BYTES = MAX_EXAMPLE_BYTES + MAX_UPLOAD_FRAMING_BYTES  # of one request, framing included
MAX_FLEET_MESSAGE_BYTES = MAX_UPLOAD_BYTES + (64 << 10)  # of the connection that uploads and reports share
MAX_TRUTH_BYTES = 64 << 10

# The stream of what was uploaded: gateway to curator.
STREAM = "skerry:examples"
CURATORS = "curator"  # the consumer group
LABELLED, PUBLISHER = "skerry:labelled", "publisher"  # what labelers tell the one that publishes, and its group
LABEL = "label"  # the entry's `kind` there
EXAMPLE, TRUTH = "example", "truth"  # the entry's `kind`, and the record's field in fleet.proto

SET_ASIDE_FOLDER = "aside"
CATALOGUE_FOLDER = "catalogue"
UNTOLD_FOLDER = "untold"  # entries that the stream did not take (`core.untold`)
ERASURES_FOLDER = "erasures"
WEBHOOK_TOLD = "webhook/told.json"
IN_HAND_FOLDER = "labeling"  # of the blobs in which curators write down what they work on

# Live readings: gateway and curator to controller, dashboard and cli. Whoever writes one again sooner keeps it alive.
READING_TTL_S = 30.0
MAX_NODE_WARNINGS = 16  # that a node's report names, the newest
MAX_READING_TRUTHS = 500  # of one version on one node; older ones are told no more
NODE_READINGS, SPOOL_READINGS, CURATOR_READINGS = "node:", "spool:", "curator:"
LABELER_READINGS = "labeler:"

# Counters: of answers whose truth is known, curator to controller; of requests, gateway to controller, where bad ones
# failed on the node, or were refused there although one of its versions takes requests of that form
# (`core.evidence_counters` says which counters there are). A field for each node, one for what was bad of it, and one
# of each writer with the time of the newest. Neither sign can be in a node's name.
_BAD_SIGN, _NEWEST_SIGN = "!", "@"


class Counted(StrEnum):
    ANSWERS = "answered"
    REQUESTS = "requested"


# Training jobs: trainer to gateway and controller.
MAX_CONTENT_BYTES = 320 << 20  # a part of a dataset has up to 256 MiB of rows
MAX_PROPOSAL_BYTES = 1 << 20
REASON_HEADER = "Skerry-Reason"  # of a refusal: why, on one line


def stream_entry(model: str, example_id: str, kind: str) -> dict[str, str]:
    """`example_id` is the example's digest, of a truth too."""
    return {"model": model, "id": example_id, "kind": kind}


def examples_folder(model: str) -> str:
    return f"examples/{model}"


def truths_folder(model: str) -> str:
    return f"truths/{model}"


def labels_folder(model: str) -> str:
    return f"labels/{model}"


def datasets_folder(model: str) -> str:
    return f"datasets/{model}"


def example_path(model: str, example_hex: str) -> str:
    """A serialized fleet.Example; `example_hex` is the sha256 of its bytes."""
    return f"{examples_folder(model)}/{example_hex}"


def truth_path(model: str, example_hex: str) -> str:
    """A serialized fleet.Truth, by the example that it is about."""
    return f"{truths_folder(model)}/{example_hex}"


def label_path(model: str, example_hex: str) -> str:
    """The label as JSON (`curator.labels`)."""
    return f"{labels_folder(model)}/{example_hex}.json"


def catalogue_folder(model: str) -> str:
    """What the curator knows of labelled examples (`curator.catalogue`), in segments."""
    return f"{CATALOGUE_FOLDER}/{model}/entries"


def catalogue_path(model: str, level: int, serial: int) -> str:
    return f"{catalogue_folder(model)}/{level}-{serial}"


def published_path(model: str) -> str:
    """How far the catalogue is, and the parts of the newest dataset (`curator.publication`), as JSON."""
    return f"{CATALOGUE_FOLDER}/{model}/published.json"


def set_aside_folder(model: str) -> str:
    """Records of what was set aside (`core.set_aside`), one JSON file each."""
    return f"{SET_ASIDE_FOLDER}/{model}"


def in_hand_path(curator: str) -> str:
    """What a curator works on (`curator.in_hand`), as JSON; gone when it has nothing in hand."""
    return f"{IN_HAND_FOLDER}/{curator}.json"


def erasure_path(name: str) -> str:
    """How far storage is with an erasure (`core.erasure_progress`)."""
    return f"{ERASURES_FOLDER}/{name}.json"


def erased_rows_folder(name: str) -> str:
    """What an erasure removed and others must know of, until it is complete (`core.erasure_progress`)."""
    return f"{ERASURES_FOLDER}/{name}"


def tombstone_path(part: str) -> str:
    """In the place of a part of a dataset that was removed. Raises InputError for what is no digest."""
    return f"erased/{digests.hex_of(part)}.json"


def dataset_path(model: str, digest: str) -> str:
    """A dataset's manifest. Raises InputError for what is no digest."""
    return f"{datasets_folder(model)}/{digests.hex_of(digest)}"


def snapshot_path(run: str) -> str:
    """The objects that a training run needs (`core.snapshots`)."""
    return f"runs/{run}.json"


def proposal_path(run: str) -> str:
    """What the trainer proposes (`controller.proposals`)."""
    return f"proposals/{run}.json"


def node_reading(node: str, model: str) -> str:
    return f"{NODE_READINGS}{node}:{model}"


def spool_reading(node: str) -> str:
    return f"{SPOOL_READINGS}{node}"


def curator_reading(model: str) -> str:
    return f"{CURATOR_READINGS}{model}"


def labeler_reading(curator: str) -> str:
    return f"{LABELER_READINGS}{curator}"


def comparison_counter(kind: Counted, model: str, digest: str, since_ms: int) -> str:
    """What a version met since a rollout began to compare. Raises InputError for what is no digest."""
    return f"{kind}:{model}:{digests.hex_of(digest)}:since:{since_ms}"


def bucket_counter(kind: Counted, model: str, digest: str, width_ms: int, bucket: int) -> str:
    """What a version met in a bucket of time. Raises InputError for what is no digest."""
    return f"{kind}:{model}:{digests.hex_of(digest)}:{width_ms}:{bucket}"


def bad_field(node: str) -> str:
    return node + _BAD_SIGN


def newest_field(writer: str) -> str:
    return _NEWEST_SIGN + writer


def is_newest_field(field: str) -> bool:
    return field.startswith(_NEWEST_SIGN)
