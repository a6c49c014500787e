"""Objects tried at an API server and by core: what each of the two says of them."""

import custom_resources
from custom_resources import Json

from skerry.adapters.kubernetes import Api
from skerry.adapters.objects import resources
from skerry.core import errors

KINDS = sorted(custom_resources.crds())

STRICT = {"fieldValidation": "Strict", "dryRun": "All"}


def made(kind: str, spec: Json, name: str = "x") -> Json:
    return resources.manifest(kind, name, spec, {})


def tried(api: Api, kind: str, spec: Json) -> str:
    """What the API server says to an object that it is not to keep; empty: welcome."""
    try:
        api.create(resources.path(api.namespace, kind), made(kind, spec), STRICT)
    except errors.InputError as exc:
        return str(exc)
    return ""


def parsed(kind: str, spec: Json) -> str:
    """What core says; empty: welcome."""
    try:
        custom_resources.PARSERS[kind]("x", spec)
    except (errors.InputError, errors.IntegrityError) as exc:
        return str(exc)
    return ""
