"""A curator's world with a marked row in it, and where the mark is."""

from typing import Any

import curating

from skerry.core import contract, digests, erasure_progress

MARKER_PIXELS = bytes([2, 0, 201, 99])


def erase(world: curating.World, name: str = "e1", **spec: Any) -> None:
    world.objects.create("Erasure", name, spec, manager="operator")


def progress(world: curating.World, name: str = "e1") -> erasure_progress.Progress:
    return erasure_progress.from_json(world.blobs.read(contract.erasure_path(name), max_bytes=1 << 20), name)


def marked(**fields: Any) -> bytes:
    tensor = curating.fleet_pb2.CapturedTensor(name="image", datatype="UINT8", shape=[1, 2, 2], raw=MARKER_PIXELS)
    made = curating.fleet_pb2.Example.FromString(curating.example(0, **fields))
    made.inputs[0].CopyFrom(tensor)
    return bytes(made.SerializeToString(deterministic=True))


def world_with(*examples: bytes, **storage: Any) -> curating.World:
    world = curating.World(settings=curating.settings(publish_seconds=1, publish_examples=1), **storage)
    for data in (*examples, *(curating.example(seed) for seed in range(1, 30))):
        world.upload(data)
    world.work(40)
    assert world.state.published is not None
    return world


def holds(world: curating.World) -> list[str]:
    """Where the marker is, parts unpacked."""
    found = [
        path for path in world.blobs.list("examples") if MARKER_PIXELS in world.blobs.read(path, max_bytes=1 << 20)
    ]
    for path in world.blobs.list("datasets"):
        data = world.blobs.read(path, max_bytes=1 << 20)
        document = curating.datasets.DatasetManifest.from_json(data)
        for part in document.parts:
            if not world.blobs.exists(digests.blob_path(part.digest)):
                continue
            packed = world.blobs.read(digests.blob_path(part.digest), max_bytes=1 << 20)
            if MARKER_PIXELS in curating.dataset_parts.unpack(packed, document).x.tobytes():
                found.append(f"{path} {part.role}")
    return found
