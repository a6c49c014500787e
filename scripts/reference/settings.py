"""The page of settings: every field of every class `Settings` in a module `settings` of a service.

A field is described by the text below it in the class (or by pydantic's own description). In a plain dataclass that
text begins with the name of its variable; a class of pydantic-settings names the variable itself.
"""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import markdown
from click import Context, Group, Option

import skerry
from skerry.cli import main as cli
from skerry.core import errors

_NAMED = re.compile(r"^((?:SKERRY_[A-Z0-9_]+(?:, | and )?)+)(?:: *|$)")
# One of them is a value of any variable that a service cannot do without.
_SAMPLES = ("sample", "sample:1", "https://sample/", "1")
_MIB = 1 << 20
Row = tuple[str, str, str]


def page() -> str:
    """Sections by service, in the order of their names."""
    parts = []
    for service, made in classes():
        rows = list(_rows(made))
        text = (inspect.getdoc(importlib.import_module(made.__module__)) or "").splitlines()[0]
        parts.append(f"## {service}\n\n{text}\n\n{markdown.table(('variable', 'default', 'meaning'), rows)}")
    rows = sorted(_of_commands())
    text = "Where a command has an option for it, the option wins."
    parts.append(f"## the command `skerry`\n\n{text}\n\n{markdown.table(('variable', 'default', 'meaning'), rows)}")
    return "\n".join(parts)


def classes() -> Iterator[tuple[str, type]]:
    """(service, its settings)."""
    for service in sorted(module.name for module in pkgutil.iter_modules(skerry.__path__) if module.ispkg):
        inner = importlib.import_module(f"skerry.{service}").__path__
        if "settings" not in {module.name for module in pkgutil.iter_modules(inner)}:
            continue
        made = getattr(importlib.import_module(f"skerry.{service}.settings"), "Settings", None)
        if made is not None:
            yield service, made


def _rows(made: type) -> Iterator[Row]:
    texts = _texts(made)
    fields: dict[str, Any] = getattr(made, "model_fields", {})
    for name, field in fields.items():
        text = field.description or texts.get(name, "")
        if not text:
            raise SystemExit(f"{made.__module__}: {name} has no text below it: say what it is, its unit and why")
        variable = _alias(field) or f"{made.model_config.get('env_prefix', '')}{name}".upper()  # type: ignore[attr-defined]
        default = "required" if field.is_required() else _shown(variable, field.default)
        yield f"`{variable}`", default, markdown.sentence(text) + _choices(field)
    if not fields:
        yield from _dataclass_rows(made, texts)


def _dataclass_rows(made: type, texts: dict[str, str]) -> Iterator[Row]:
    needed, minimal = _minimal(made)
    for field in dataclasses.fields(made):
        named = _NAMED.match(texts.get(field.name, ""))
        if not named:
            raise SystemExit(f"{made.__module__}: the text below {field.name} must begin with the name of its variable")
        text = texts[field.name][named.end() :]
        variables = re.findall(r"SKERRY_[A-Z0-9_]+", named[1])
        default = "required" if variables[0] in needed else _shown(variables[0], getattr(minimal, field.name))
        yield ", ".join(f"`{one}`" for one in variables), default, markdown.sentence(text)


def _minimal(made: type) -> tuple[Mapping[str, str], Any]:
    """The variables without which a service does not start, and what it reads when it has no other."""
    read, given = importlib.import_module(made.__module__).read, {}
    while True:
        try:
            return given, read(given)
        except errors.InputError as exc:
            (variable, *_) = re.findall(r"SKERRY_[A-Z0-9_]+", str(exc)) or [str(exc)]
            tried = _SAMPLES.index(given[variable]) + 1 if variable in given else 0
            if tried == len(_SAMPLES):
                raise SystemExit(f"{made.__module__}: no sample is a value of {variable}: {exc}") from exc
            given[variable] = _SAMPLES[tried]


def _texts(made: type) -> dict[str, str]:
    """The text below each field, of the class and of those that it extends; the nearest wins."""
    found: dict[str, str] = {}
    for one in reversed(made.__mro__):
        if not one.__module__.startswith("skerry."):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and (said := _said(text)):
                found[field.target.id] = inspect.cleandoc(said)
    return found


def _said(statement: ast.stmt) -> str:
    """The text that a statement is, if it is one."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _alias(field: Any) -> str:
    alias = field.validation_alias
    return alias if isinstance(alias, str) else ""


def _shown(variable: str, value: Any) -> str:
    if isinstance(value, tuple):
        value = ":".join(map(str, value))
    if not isinstance(value, str | int | float) or value == "":
        return ""
    if isinstance(value, bool):
        return f"`{int(value)}`"
    if variable.endswith("_MB") and isinstance(value, int):
        value //= _MIB
    return f"`{value if isinstance(value, str) else _whole(value)}`"


def _choices(field: Any) -> str:
    """The values that a Literal allows, and the bounds of a number."""
    said = []
    if values := getattr(field.annotation, "__args__", ()):
        texts = [one for one in values if isinstance(one, str)]
        said += [f"One of {', '.join(f'`{one}`' for one in texts)}."] if texts else []
    bounds = {name: getattr(one, name) for one in field.metadata for name in ("gt", "ge", "le") if hasattr(one, name)}
    signs = {"gt": "above", "ge": "at least", "le": "at most"}
    if words := [f"{signs[name]} {_whole(bound)}" for name, bound in bounds.items() if bound is not None]:
        said.append(markdown.sentence(", ".join(words)))
    return "".join(f" {one}" for one in said)


def _whole(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _of_commands() -> Iterator[Row]:
    seen: set[str] = set()
    for words, command in commands(cli.main):
        for option in command.params:
            names = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
            for name in names:
                if isinstance(option, Option) and name not in seen:
                    seen.add(name)
                    text = f"{option.help or ''} Option {option.opts[0]} of {' '.join(words)}"
                    yield f"`{name}`", _shown(name, option.default), markdown.sentence(text)


def commands(group: Group, path: tuple[str, ...] = ("skerry",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and subcommand with its words, in the order in which help shows them."""
    context = Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, Group):
            yield from commands(command, (*path, name))
