"""`skerry lineage`: what came of what, read from objects and blobs, joined by `core.lineage`, and verified if asked."""
