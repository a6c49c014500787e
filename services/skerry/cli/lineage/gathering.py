"""The facts that one lineage needs: of other models nothing is read, of datasets no more than their manifests."""

from collections.abc import Sequence
from dataclasses import replace

from skerry.cli.lineage.reading import Reading
from skerry.core import lineage


def gather(reading: Reading, kind: lineage.Kind, found: tuple[str, str], examples: int) -> lineage.Lineage:
    """Read and join. `examples`: how many of a dataset's captured examples are listed with their labels. Raises
    UnavailableError; what is damaged is told as not known."""
    joined = _gathered(reading, kind, found, examples)
    damaged = tuple(lineage.Unknown("dataset", "", f"{what}: {why}") for what, why in sorted(reading.damaged.items()))
    return replace(joined, unknown=joined.unknown + damaged)


def _gathered(reading: Reading, kind: lineage.Kind, found: tuple[str, str], examples: int) -> lineage.Lineage:
    model, name = found
    if kind == "node":
        return _of_node(reading, name)
    # Versions of all models: a node on the way runs others, too.
    facts = lineage.Facts((), _datasets(reading, [model]), reading.runs, reading.versions, reading.nodes)
    if kind == "example":
        subject = reading.example(model, name, reading.holders(model, name))
        return lineage.join(_with_examples(facts, (subject,)), kind, name)
    joined = lineage.join(facts, kind, name)
    before: tuple[str, ...] = tuple(fact.name for fact in joined.before["dataset"])
    wanted = (name,) if kind == "dataset" else before
    listed = reading.captured_ids(model, wanted, examples)
    return lineage.join(
        _with_examples(facts, tuple(reading.example(model, one, holders) for one, holders in listed.items())),
        kind,
        name,
    )


def _of_node(reading: Reading, name: str) -> lineage.Lineage:
    """Of every model: what it runs, and what it gave rows to."""
    datasets = _datasets(reading, reading.models)
    return lineage.join(lineage.Facts((), datasets, reading.runs, reading.versions, reading.nodes), "node", name)


def _datasets(reading: Reading, models: Sequence[str]) -> tuple[lineage.Dataset, ...]:
    """All that are stored, as their manifests say."""
    read = (reading.dataset(model, digest) for model in models for digest in reading.stored_datasets(model))
    return tuple(one for one in read if one is not None)


def _with_examples(facts: lineage.Facts, examples: tuple[lineage.Example, ...]) -> lineage.Facts:
    return lineage.Facts(examples, facts.datasets, facts.runs, facts.versions, facts.nodes)
