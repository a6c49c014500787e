"""EdgeModels read with distrust: one that cannot be read hides no other, its condition says why."""

from collections.abc import Mapping, Sequence

from skerry.adapters.objects import Object
from skerry.core import errors, specs
from skerry.core.tasks import Task


def parsed(model: Object) -> specs.EdgeModel | str:
    """The model, or why it cannot be read."""
    try:
        return specs.parse_edge_model(model.name, model.spec)
    except errors.InputError as exc:
        return str(exc)


def tasks(models: Sequence[Object]) -> Mapping[str, Task]:
    """What each answers, by name; those that cannot be read are left out."""
    read = map(parsed, models)
    return {model.name: model.task for model in read if not isinstance(model, str)}
