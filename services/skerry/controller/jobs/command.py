"""The command line of a training job: the trainer itself, or torch's launcher with as many trainers as workers."""

from collections.abc import Sequence

TRAINER = ("-m", "skerry.trainer.main")
_LAUNCHER = ("-m", "torch.distributed.run", "--max-restarts", "0")
PORT = 29_500  # where the first worker waits for the others


def local(python: str, workers: int) -> Sequence[str]:
    """All workers on this machine."""
    if workers == 1:
        return (python, *TRAINER)
    return (python, *_LAUNCHER, "--standalone", "--nproc-per-node", str(workers), *TRAINER)


def member(python: str, workers: int, rank: str, first: str) -> Sequence[str]:
    """One worker of several machines: number `rank`, where worker 0 is at host `first`."""
    if workers == 1:
        return (python, *TRAINER)
    where = ("--master-addr", first, "--master-port", str(PORT))
    return (python, *_LAUNCHER, "--nnodes", str(workers), "--node-rank", rank, *where, *TRAINER)
