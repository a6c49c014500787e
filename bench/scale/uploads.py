"""What simulated agents upload: captured rows with the answers that their version gave, `share` of them wrong.

The true class of a row is what the trivial teacher says of it (`versions.weights`); a right answer is the same, a wrong
one another class.
"""

import random
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.scale import versions
from skerry.core import digests
from skerry.proto import fleet_pb2


def answers(row: NDArray[np.float32], *, wrong: bool) -> NDArray[np.float32]:
    """Logits, by the teacher's weights; a wrong answer has its largest two the other way round."""
    logits = row @ versions.weights(1.0)
    if wrong:
        first, second = np.argsort(logits)[[-1, -2]]
        logits[[first, second]] = logits[[second, first]]
    return logits


def record(node: str, digest: str, sequence: int, draw: random.Random, *, bad_share: float) -> fleet_pb2.Record:
    """One example as the agent's spool writes it. Its row is new, and its truth is a class that is clear."""
    row = np.array([[draw.uniform(-4, 4) for _ in range(versions.FEATURES)]], dtype=np.float32)
    logits = answers(row[0], wrong=draw.random() < bad_share)
    example = fleet_pb2.Example(
        model=versions.MODEL,
        node=node,
        request_id=f"{node}-{sequence}",
        digest=digest,
        kind=fleet_pb2.EXPLORATION,
        inputs=[
            fleet_pb2.CapturedTensor(
                name=versions.INPUT, datatype="FP32", shape=[1, versions.FEATURES], raw=row.tobytes()
            )
        ],
        local_logits=logits.tolist(),
        confidence=0.9,
        route="local",
        reason="exploration",
        answered_unix_ms=time.time_ns() // 1_000_000,
        boot_id="scale",
        boot_sequence=sequence,
    )
    data = example.SerializeToString(deterministic=True)
    return fleet_pb2.Record(id=digests.sha256(data), example=data)


def request(
    node: str, digest: str, first: int, rows: int, draw: random.Random, *, bad_share: float
) -> fleet_pb2.UploadRequest:
    records: Sequence[fleet_pb2.Record] = [
        record(node, digest, first + number, draw, bad_share=bad_share) for number in range(rows)
    ]
    return fleet_pb2.UploadRequest(node=node, records=records)
