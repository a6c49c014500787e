"""`skerry warnings`: what nodes warn of, asked of the agents themselves: no cloud is needed."""

from pathlib import Path
from typing import Any

import click

from skerry.cli import output
from skerry.cli.up import state_option

_TIMEOUT_S = 10.0


@click.command()
@click.option("--agent", "given", multiple=True, metavar="HOST:PORT", help="Where an agent serves; may be repeated.")
@output.json_option
@state_option
def warnings(given: tuple[str, ...], as_json: bool, state: Path) -> None:
    """List series whose forecasts are off, as the agents know them now (by default those of this system).

    Of which residuals a node warns stands in the model, under `warn`. An agent that was started again knows nothing of
    what it warned of before.
    """
    from skerry.cli import agent_client, system_file
    from skerry.core import errors

    addresses = list(given) or [agent.address for agent in system_file.read(state).agents]
    if not addresses:
        raise errors.NotFoundError("this system runs no agent: name one with --agent HOST:PORT")
    told, away = [], []
    for address in addresses:
        try:
            told.append(agent_client.warnings_of(address, _TIMEOUT_S))
        except errors.UnavailableError as exc:
            away.append(str(exc))
    if as_json:
        output.print_json(told)
    else:
        _print(told)
    if away:  # the others have been told
        raise errors.UnavailableError("; ".join(away))


def _print(told: list[dict[str, Any]]) -> None:
    from skerry.cli import object_access

    now = object_access.now_ms()
    rows = [
        [
            agent["agent"],
            one["model"],
            one["series"],
            output.age(one["sinceUnixMs"], now),
            one["message"],
        ]
        for agent in told
        for one in agent["warnings"]
    ]
    if rows:
        output.print_table("warnings", ["agent", "model", "series", "for", "why"], rows)
    for agent in told:
        lost = f", {agent['notKept']} of them beyond what it keeps" if agent["notKept"] else ""
        output.say(
            f"{agent['agent']}: {len(agent['warnings'])} raised and not over; {agent['raised']} raised{lost} since it "
            f"started, {output.age(agent['startedUnixMs'], now)} ago"
        )
