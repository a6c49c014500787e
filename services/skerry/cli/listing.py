"""A click group that lists when no subcommand is named, as `skerry nodes` does."""

from typing import Any

import click
from click.core import ParameterSource


class ListingGroup(click.Group):
    """Its options are the list's. Before a subcommand they mean nothing, though they look as if they chose what it
    acts on: they are refused."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"invoke_without_command": True})

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        found = super().resolve_command(ctx, args)
        given = [
            one.opts[0]
            for one in self.params
            if one.name and ctx.get_parameter_source(one.name) is ParameterSource.COMMANDLINE
        ]
        if given and not ctx.resilient_parsing:
            message = f"before {args[0]!r} {', '.join(given)} would choose nothing: give it after {args[0]!r}"
            raise click.UsageError(message, ctx)
        return found
