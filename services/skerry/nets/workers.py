"""A crew of processes that talk through torch.distributed (gloo), as torch's launcher starts them.

Imported only where there is more than one worker. Where the others are is torch's own business: the launcher has put it
into the environment.
"""

import contextlib
import ctypes
import signal
from collections.abc import Iterator
from datetime import timedelta

import torch
from torch import distributed, nn

from skerry.core import errors
from skerry.nets.crew import Numbers

_SILENCE = timedelta(minutes=30)  # so long the others may be busy with something else, such as asking the teacher
_PR_SET_PDEATHSIG = 1


class Workers:
    """This worker among `size`."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def total(self, values: Numbers) -> Numbers:
        summed = torch.from_numpy(values.astype(float))
        with self._talking():
            distributed.all_reduce(summed)
        return summed.numpy()

    def extremes(self, low: float, high: float) -> tuple[float, float]:
        found = torch.tensor([-low, high], dtype=torch.float64)
        with self._talking():
            distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
        return -float(found[0]), float(found[1])

    def share(self, network: nn.Module) -> None:
        with self._talking(), torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                distributed.broadcast(tensor, src=0)

    def add_gradients(self, network: nn.Module) -> None:
        """One message for all of them."""
        trained = [one for one in network.parameters() if one.requires_grad]
        flat = torch.cat([(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in trained])
        with self._talking():
            distributed.all_reduce(flat)
        pieces = torch.split(flat, [one.numel() for one in trained])
        for one, summed in zip(trained, pieces, strict=True):
            one.grad = summed.view_as(one).clone()

    def blend_buffers(self, network: nn.Module, share: float) -> None:
        with self._talking(), torch.no_grad():
            for one in network.buffers():
                if one.is_floating_point():
                    one *= share
                    distributed.all_reduce(one)

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as exc:
            raise errors.UnavailableError(
                f"worker {self.rank} of {self.size} cannot reach the others, one of them is gone: {exc}"
            ) from exc


def join(rank: int, size: int) -> Workers:
    """Meet the others. Raises UnavailableError when they do not come."""
    _end_with_launcher()
    crew = Workers(rank, size)
    with crew._talking():
        distributed.init_process_group("gloo", timeout=_SILENCE)
    return crew


def leave() -> None:
    """Say goodbye, so that nobody takes an end for a fault."""
    distributed.destroy_process_group()


def _end_with_launcher() -> None:
    """A launcher that is killed takes its workers with it (Linux; elsewhere they notice when the others are gone)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
