"""What a version is: one canonical JSON document that names its files by digest and how to use them.

The digest of the document's bytes is the version's identity, so the same content is always the same bytes: `from_json`
takes no others. Everything a node needs is here (preprocessing, class names, confidence, self-test, what the runtime
must be able to do); the release counter is not, because the controller gives it later.
"""

from skerry.core.manifest.document import (
    SCHEMA,
    File,
    Golden,
    Layer,
    Manifest,
    Quantization,
    Runtime,
    State,
    digest_of,
    file_of,
)
from skerry.core.manifest.reading import FILE_NAME, MAX_BYTES, MAX_FILE_BYTES, check, from_json

__all__ = [
    "FILE_NAME",
    "MAX_BYTES",
    "MAX_FILE_BYTES",
    "SCHEMA",
    "File",
    "Golden",
    "Layer",
    "Manifest",
    "Quantization",
    "Runtime",
    "State",
    "check",
    "digest_of",
    "file_of",
    "from_json",
]
