"""Structured pruning: a network without its weakest units, trained on with the labels that the whole one learned from.

Among those are the teacher's soft labels where there is a teacher: it is the one to learn from, and what the whole
network says is only a worse copy of it. Only a network that can make itself narrower (`slimmed(share) -> Module`, as
our CNNs do) is pruned; a file full of zeros would be no smaller and no faster.
"""

from dataclasses import replace

from torch import nn

from skerry.core import errors
from skerry.nets import training
from skerry.nets.training import OnEpoch, Recipe, Samples
from skerry.nets.worker_group import SINGLE, WorkerGroup
from skerry.trainer import measures

# A narrower network has to make up for what it lost, and its epochs are short. How much of 10,000 digits the reference
# CNN without half of its units gets right after 8 and after so many: bench/README.md.
ENOUGH_EPOCHS = 14


def share_of(asked_permille: int | None, network: nn.Module) -> float:
    """How much of the network goes, 0–1: what is asked, or where nothing is what the network's attribute
    `prune_permille` says; without one nothing goes."""
    permille = getattr(network, "prune_permille", 0) if asked_permille is None else asked_permille
    return float(permille) / 1000


def prune(
    network: nn.Module,
    samples: Samples,
    recipe: Recipe,
    share: float,
    on_epoch: OnEpoch,
    measure: measures.Measures,
    workers: WorkerGroup = SINGLE,
) -> nn.Module:
    """`network` without `share` (0–1) of its units, trained on for `epochs_of(recipe)`.

    Raises InputError when the network does not know how to become narrower.
    """
    slim = getattr(network, "slimmed", None)
    if not callable(slim):
        raise errors.InputError(
            f"retrain.prunePermille is set, but {type(network).__name__} has no method slimmed(share): "
            "write one that returns a narrower copy, or set prunePermille to 0"
        )
    longer = replace(recipe, epochs=epochs_of(recipe))
    return training.train(slim(share), samples, longer, on_epoch, measure.objective, workers)


def epochs_of(recipe: Recipe) -> int:
    """Twice as many as the whole network where those are few, and never fewer than it."""
    return max(recipe.epochs, min(2 * recipe.epochs, ENOUGH_EPOCHS))
