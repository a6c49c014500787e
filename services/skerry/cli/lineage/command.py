"""`skerry lineage KIND X`: one command, both ways."""

from typing import TYPE_CHECKING, cast

import click

from skerry.cli import locations, output

if TYPE_CHECKING:
    from skerry.core.lineage import Kind

_KINDS = ("example", "dataset", "run", "version", "node")


@click.command()
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("name")
@click.option(
    "--examples",
    default=5,
    show_default=True,
    type=click.IntRange(0, 10_000),
    help="How many captured examples of the datasets are listed with their labels.",
)
@click.option(
    "--verify", is_flag=True, help="Recompute every digest and signature on the way; exit code 5 if one differs."
)
@output.json_option
@locations.location_options
def lineage(locations: locations.Locations, kind: str, name: str, examples: int, verify: bool, as_json: bool) -> None:
    """Show what X came from and what came of it: example, label, dataset, run, version, and the nodes that run it.

    X is a name, or the beginning of a digest.
    """
    from skerry.adapters import blobs as blob_store
    from skerry.adapters import objects
    from skerry.adapters.trust import repository as trust
    from skerry.cli import object_access
    from skerry.cli.lineage import finding, gathering, reading, telling, verifying

    source = reading.Reading(objects.open_objects(locations.objects), blob_store.open_shared(locations.blobs))
    asked = cast("Kind", kind)  # click has seen to it
    found = gathering.gather(source, asked, finding.find(source, asked, name), examples)
    verified = None
    if verify:
        repository = trust.Repository(blob_store.open_shared(locations.repository), {})
        verified = verifying.verify(source, found, repository)
    if as_json:
        output.print_json(found.to_json() | ({} if verified is None else {"verified": verified.to_json()}))
    else:
        for line in telling.lines(found, object_access.now_ms()):
            output.say(line)
        for line in telling.verdict(verified) if verified is not None else ():
            output.say(line)
    if verified is not None and verified.differ:
        raise SystemExit(5)
