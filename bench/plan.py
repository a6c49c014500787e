"""What a run measures: the cells, group by group. Ratios are taken within a group, whose cells are interleaved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.results import NONE, VARYING, Cell

CONNECTIONS = (1, 16, 64)
FLOOR = "raw-ort"
SIDE = ("skerry-agent", "raw-ort-python", "least")  # on the way, but none of the servers compared
_OURS = ("skerry", "skerry-grpcio")
_PLAIN = ("grpc-aio", "grpc-sync")
_OTHERS = ("mlserver", "kserve", "litserve", "bentoml")


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` is measured of each cell in each of `rounds`."""

    kind: str
    groups: Mapping[str, Sequence[Cell]]
    rounds: int
    seconds: float


def quick() -> Plan:
    """Ours, the floor and plain grpcio, the model and the echo: under two minutes."""
    cnn = [
        *_cells((FLOOR, "skerry", *_PLAIN), "cnn"),
        *_cells(("skerry",), "cnn", tls=True),
        *_cells(("skerry-grpcio", "skerry-agent"), "cnn", connections=(16,)),
    ]
    echo = [
        *_cells(("skerry", *_PLAIN), "echo"),
        *_cells(("skerry", *_PLAIN), "echo", tls=True),
        *_cells(("skerry", *_PLAIN), "echo", connections=(16,), deadlines=VARYING),
    ]
    return Plan("quick", _grouped(cnn, echo), rounds=3, seconds=0.45)


def full() -> Plan:
    """Every server: under fifteen minutes."""
    cnn = [
        *_cells((FLOOR, "raw-ort-python", *_OURS, "skerry-agent", "cpp-grpc", *_PLAIN, *_OTHERS), "cnn"),
        *_cells((*_OURS, "cpp-grpc", *_PLAIN), "cnn", tls=True),
        *_cells(("least",), "cnn", connections=(1,)),
    ]
    rnn = [*_cells((FLOOR, "skerry", "cpp-grpc", *_PLAIN, *_OTHERS), "rnn")]
    echo = [
        *_cells((*_OURS, *_PLAIN), "echo"),
        *_cells((*_OURS, *_PLAIN), "echo", tls=True),
        *_cells((*_OURS, *_PLAIN), "echo", deadlines=VARYING),
    ]
    return Plan("full", _grouped(cnn, rnn, echo), rounds=4, seconds=1.0)


def _cells(
    servers: Sequence[str],
    model: str,
    *,
    tls: bool = False,
    connections: Sequence[int] = CONNECTIONS,
    deadlines: str = NONE,
) -> Iterator[Cell]:
    """The floor has no connections: it is measured again beside each number of them."""
    return (Cell(server, model, tls, count, deadlines) for count in connections for server in servers)


def _grouped(*groups: Sequence[Cell]) -> Mapping[str, Sequence[Cell]]:
    """Cells of one number of connections stand side by side, so that they are measured at nearly the same time."""
    return {cells[0].model: sorted(cells, key=lambda cell: cell.connections) for cells in groups}
