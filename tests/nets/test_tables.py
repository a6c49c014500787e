"""The network for tables answers what its formula says, row by row, whatever the columns' units."""

import numpy as np
import pytest
import torch
from recurrences import numbers

from skerry.core import errors
from skerry.nets import export, tables, training


def rows(n: int, seed: int = 0) -> np.ndarray:
    """Columns of very unequal size."""
    return (np.random.default_rng(seed).normal(size=(n, 3)) * [1e6, 5, 0.01] + [1e7, 0, 0.5]).astype(np.float32)


def trained() -> tables.TableNetwork:
    """Not trained, but its statistics are of `rows`."""
    training.prepare(1)
    made = tables.mlp(3, 3, hidden=(6, 5))
    for seed in range(40):
        made.train()(torch.from_numpy(rows(64, seed)))
    assert isinstance(made, tables.TableNetwork)
    return made.eval()


def test_it_is_the_formula() -> None:
    made, x = trained(), rows(4, 99)
    seen = np.concatenate([x, np.sign(x) * np.log1p(np.abs(x))], axis=1)
    seen = (seen - made.columns.running_mean.numpy()) / np.sqrt(made.columns.running_var.numpy() + 1e-5)  # type: ignore[union-attr]
    for layer in made.layers:
        weights = numbers(layer)
        seen = np.maximum(seen @ weights["weight"].T + weights["bias"], 0)
    head = numbers(made.head)
    np.testing.assert_allclose(training.predict(made, x), seen @ head["weight"].T + head["bias"], rtol=1e-4, atol=1e-4)


def test_it_is_exported_and_each_row_is_answered_by_itself() -> None:
    made, x = trained(), rows(7, 5)
    exported = export.export(made, x)
    (alone,) = export.run(exported.data, {export.INPUT: x[3:4]})
    np.testing.assert_allclose(alone, training.predict(made, x)[3:4], atol=1e-4)


@pytest.mark.parametrize(
    "options", [{"features": 0}, {"classes": 1}, {"hidden": ()}, {"hidden": (0,)}, {"dropout": 1.0}]
)
def test_what_cannot_be_built_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(errors.InputError, match="no network for"):
        tables.mlp(**({"classes": 3, "features": 3} | options))  # type: ignore[arg-type]
