"""Structured pruning: a network without its weakest units, trained on with what the whole network answers.

Only a network that can make itself narrower (`slimmed(share) -> Module`, as our CNNs do) is pruned; a file full of
zeros would be no smaller and no faster.
"""

from dataclasses import replace

from torch import nn

from skerry.core import errors
from skerry.nets import training
from skerry.nets.training import OnEpoch, Recipe, Samples
from skerry.nets.worker_group import SINGLE, WorkerGroup
from skerry.trainer import measures


def prune(
    network: nn.Module,
    samples: Samples,
    recipe: Recipe,
    share: float,
    on_epoch: OnEpoch,
    measure: measures.Measures,
    workers: WorkerGroup = SINGLE,
) -> nn.Module:
    """`network` without `share` (0–1) of its units, fine-tuned for half the epochs on its own soft answers.

    Raises InputError when the network does not know how to become narrower.
    """
    slim = getattr(network, "slimmed", None)
    if not callable(slim):
        raise errors.InputError(
            f"retrain.prunePermille is set, but {type(network).__name__} has no method slimmed(share): "
            "write one that returns a narrower copy, or set prunePermille to 0"
        )
    soft = measure.soft_of(training.predict(network, samples.x))
    fine = replace(recipe, epochs=max(1, recipe.epochs // 2))
    return training.train(slim(share), replace(samples, soft=soft), fine, on_epoch, measure.objective, workers)
