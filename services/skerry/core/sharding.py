"""Which rows of a dataset's training parts each of several workers reads: every row once, and a part by few workers.

A part that is larger than a worker's fair share is dealt out row by row, so that no order in it (by class, by time)
makes one worker's rows unlike another's; smaller parts go to one worker whole, the largest first to the least loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows `first`, `first + step`, … of part number `part`."""

    part: int
    first: int = 0
    step: int = 1

    def count_of(self, samples: int) -> int:
        """How many of the part's `samples` rows these are."""
        return len(range(self.first, samples, self.step))


def plan(samples: Sequence[int], workers: int) -> tuple[tuple[Slice, ...], ...]:
    """By worker, its slices in order of the parts. `samples`: rows of each part. Same numbers, same plan."""
    fair = sum(samples) / workers
    given: list[list[Slice]] = [[] for _ in range(workers)]
    load = [0] * workers
    for part in sorted(range(len(samples)), key=lambda part: (-samples[part], part)):
        # Those who have least begin, so that rows left over go to them.
        order = sorted(range(workers), key=lambda worker: (load[worker], worker))
        shared = workers > 1 and samples[part] > fair
        for turn, worker in enumerate(order if shared else order[:1]):
            piece = Slice(part, turn, workers) if shared else Slice(part)
            given[worker].append(piece)
            load[worker] += piece.count_of(samples[part])
    return tuple(tuple(sorted(pieces, key=lambda piece: piece.part)) for pieces in given)
