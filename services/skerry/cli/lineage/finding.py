"""Which object a person means: by its name, or by the beginning of a digest that only one thing has."""

import re
from collections.abc import Iterable, Iterator, Sequence

from skerry.cli.lineage.reading import Reading
from skerry.core import contract, digests, errors, lineage

_SHORTEST = 4
_PREFIX = re.compile(r"[0-9a-f]{1,64}")
_SHOWN = 5

Found = tuple[str, str]  # model, name


def find(reading: Reading, kind: lineage.Kind, asked: str) -> Found:
    """The model (empty of a node) and full name. Raises NotFoundError, or InputError for a beginning that several have
    or that is too short."""
    if kind == "run":
        return _named("TrainingRun", asked, [(run.model, run.name) for run in reading.runs], "`skerry runs` lists them")
    if kind == "node":
        return _named("EdgeNode", asked, [("", node.name) for node in reading.nodes], "`skerry nodes` lists them")
    if kind == "version":
        return _version(reading, asked)
    listing = _datasets if kind == "dataset" else _examples
    prefix = _prefix(asked, kind)
    return _only(kind, asked, listing(reading, prefix))


def _version(reading: Reading, asked: str) -> Found:
    exact = [(one.model, one.name) for one in reading.versions if one.name == asked]
    if exact:
        return exact[0]
    text = asked.removeprefix("sha256:")
    if len(text) >= _SHORTEST and _PREFIX.fullmatch(text):
        matching = [one for one in reading.versions if one.digest.removeprefix("sha256:").startswith(text)]
        if matching:
            return _only("version", asked, [(one.model, one.name) for one in matching])
    return _named(
        "ModelVersion", asked, [(one.model, one.name) for one in reading.versions], "`skerry versions` lists them"
    )


def _named(what: str, asked: str, known: Sequence[Found], where: str) -> Found:
    for model, name in known:
        if name == asked:
            return model, name
    near = ", ".join(name for _, name in known if asked and name.startswith(asked))[:200]
    raise errors.NotFoundError(f"there is no {what} {asked!r:.80}: {f'did you mean {near}? ' if near else ''}{where}")


def _prefix(asked: str, kind: str) -> str:
    text = asked.strip().lower().removeprefix("sha256:")
    if not _PREFIX.fullmatch(text):
        raise errors.InputError(f"{asked!r:.80} is no digest of {_article(kind)}: give its 64 hex digits or the first")
    if len(text) < _SHORTEST:
        raise errors.InputError(f"{asked!r:.80} names too many: give at least {_SHORTEST} hex digits of the {kind}")
    return text


def _datasets(reading: Reading, prefix: str) -> Iterator[Found]:
    for model in reading.models:
        yield from ((model, name) for name in reading.stored_datasets(model) if name[7:].startswith(prefix))


def _examples(reading: Reading, prefix: str) -> Iterator[Found]:
    """Of an example that is gone its label may still be there."""
    for model in reading.models:
        if len(prefix) == digests.HEX_CHARS:
            paths = (contract.example_path(model, prefix), contract.label_path(model, prefix))
            if any(reading.blobs.exists(path) for path in paths):
                yield model, f"sha256:{prefix}"
            continue
        folders = (contract.examples_folder(model), contract.labels_folder(model))
        names = (path.rpartition("/")[2].removesuffix(".json") for at in folders for path in reading.blobs.list(at))
        yield from dict.fromkeys((model, f"sha256:{name}") for name in names if name.startswith(prefix))


def _only(kind: str, asked: str, found: Iterable[Found]) -> Found:
    """Raises NotFoundError for none, InputError for several, naming them."""
    several = list(found)
    if not several:
        raise errors.NotFoundError(
            f"no {kind} {asked!r:.80} is stored: it was never here, or retention or an erasure removed it"
        )
    if len(several) > 1:
        shown = ", ".join(f"{name} of {model}" for model, name in several[:_SHOWN])
        more = f" and {len(several) - _SHOWN} more" if len(several) > _SHOWN else ""
        raise errors.InputError(f"{asked!r:.80} may be {shown}{more}: give more of its digest")
    return several[0]


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
