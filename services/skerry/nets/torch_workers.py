"""Worker processes that talk through torch.distributed (gloo), as torch's launcher starts them.

Imported only where there is more than one worker. Where the others are, torch reads from the
environment that its launcher has set.
"""

import contextlib
import ctypes
import signal
from collections.abc import Iterator
from datetime import timedelta

import torch
from torch import distributed, nn

from skerry.core import errors
from skerry.nets.worker_group import Numbers

_SILENCE = timedelta(minutes=30)  # the others may be busy for so long with something else, such as asking the teacher
_PR_SET_PDEATHSIG = 1


class TorchWorkers:
    """This worker among `size`."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def total(self, values: Numbers) -> Numbers:
        summed = torch.from_numpy(values.astype(float))
        with self._talking():
            distributed.all_reduce(summed)
        return summed.numpy()

    def extremes(self, low: float, high: float) -> tuple[float, float]:
        extremes = torch.tensor([-low, high], dtype=torch.float64)
        with self._talking():
            distributed.all_reduce(extremes, op=distributed.ReduceOp.MAX)
        return -float(extremes[0]), float(extremes[1])

    def share(self, network: nn.Module) -> None:
        with self._talking(), torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                distributed.broadcast(tensor, src=0)

    def add_gradients(self, network: nn.Module) -> None:
        """One message for all of them."""
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in trained]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with self._talking():
            distributed.all_reduce(flat)
        pieces = torch.split(flat, [weight.numel() for weight in trained])
        for weight, summed in zip(trained, pieces, strict=True):
            weight.grad = summed.view_as(weight).clone()

    def blend_buffers(self, network: nn.Module, share: float) -> None:
        with self._talking(), torch.no_grad():
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    buffer *= share
                    distributed.all_reduce(buffer)

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as exc:
            raise errors.UnavailableError(
                f"worker {self.rank} of {self.size} cannot reach the others, one of them is gone: {exc}"
            ) from exc


def join(rank: int, size: int) -> TorchWorkers:
    """Meet the others. Raises UnavailableError when they do not come."""
    _end_with_launcher()
    workers = TorchWorkers(rank, size)
    with workers._talking():
        distributed.init_process_group("gloo", timeout=_SILENCE)
    return workers


def leave() -> None:
    """Leave the group, so that the others do not take this end for a failure."""
    distributed.destroy_process_group()


def _end_with_launcher() -> None:
    """A launcher that is killed takes its workers with it (Linux; elsewhere they notice when the others are gone)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
