"""`skerry keys secrets|show|renew|rotate`."""

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from skerry.cli import output
from skerry.cli.locations import Locations, location_options
from skerry.core import errors

_PUBLISHED_S = 120.0


@click.group()
def keys() -> None:
    """Keys and secrets: what an installation needs, who may sign what and until when, rotation."""


@keys.command()
@click.option("--prefix", default="skerry", show_default=True, help="Secrets are named PREFIX-keys-root, …")
@click.option("--namespace", required=True, help="The Kubernetes namespace.")
@click.option("--context", default="", help="Of the kubeconfig; in a pod its service account is used.")
@click.option("--host", "hosts", multiple=True, help="A name or IP address by which the gateway is reached (repeat).")
@click.option("--without", multiple=True, help="A secret that you provide yourself, like issuer (repeat).")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write YAML files here instead of to the cluster."
)
def secrets(
    prefix: str, namespace: str, context: str, hosts: Sequence[str], without: Sequence[str], out: Path | None
) -> None:
    """Make the secrets that an installation needs; existing ones stay as they are.

    keys-root, keys-publisher, keys-online and trust (the model repository), issuer and gateway-tls (the fleet's
    certificates), tickets (training jobs), valkey (its password).
    """
    from skerry.adapters import kubernetes
    from skerry.cli.keys import secret_store
    from skerry.cli.keys import secrets as installation

    now = datetime.now(UTC)
    if out is not None:
        outcome = installation.ensure(secret_store.Folder(out, namespace), prefix, hosts, without, now=now)
    else:
        url = f"kubernetes://{namespace}{f'?context={context}' if context else ''}"
        with contextlib.closing(kubernetes.connect(url)) as api:
            outcome = installation.ensure(secret_store.Cluster(api), prefix, hosts, without, now=now)
    for name in outcome.made:
        output.say(f"made {name}" + (f" ({out / f'{name}.yaml'})" if out is not None else ""))
    for name in outcome.kept:
        output.say(f"kept {name}")
    for warning in outcome.warnings:
        output.say(f"warning: {warning}", err=True)
    if f"{prefix}-keys-root" in outcome.made:
        output.say(f"move {prefix}-keys-root to a safe place and delete it here: only key ceremonies need it")


@keys.command()
@click.option(
    "--issuer", envvar="SKERRY_CLIENT_CA", type=click.Path(path_type=Path), help="The fleet's CA certificate."
)
@output.json_option
@location_options
def show(locations: Locations, issuer: Path | None, as_json: bool) -> None:
    """Who may sign what, until when, and whose key is here."""
    from skerry.adapters import blobs
    from skerry.cli.keys import key_status

    now = datetime.now(UTC)
    roles = key_status.read(blobs.open_shared(locations.repository), locations.keys, now=now)
    ca = key_status.certificate(issuer, now=now) if issuer is not None else None
    rows = [
        {
            "role": row.role,
            "custodian": row.custodian,
            "version": row.version,
            "keys": list(row.keyids),
            "here": row.here,
            "expires": row.expires.isoformat(),
            "daysLeft": (row.expires - now).days,
            "warning": row.warning,
        }
        for row in roles
    ]
    if ca is not None:
        about = {"role": "issuer", "custodian": "issuer", "version": 0, "keys": [], "here": False}
        rows.append({**about, "expires": ca[0].isoformat(), "daysLeft": (ca[0] - now).days, "warning": ca[1]})
    if as_json:
        output.print_json(rows)
        return
    output.print_table(
        "keys",
        ["role", "kept by", "version", "key", "here", "days left", ""],
        (
            [
                row["role"],
                row["custodian"],
                row["version"] or output.DASH,
                ", ".join(str(keyid)[:12] for keyid in row["keys"]) or output.DASH,  # type: ignore[attr-defined]  # a list
                "yes" if row["here"] else "no",
                row["daysLeft"],
                output.styled(str(row["warning"]), "yellow"),
            ]
            for row in rows
        ),
    )


@keys.command()
@click.option("--all", "everything", is_flag=True, help="Also what is not due yet.")
@location_options
def renew(locations: Locations, everything: bool) -> None:
    """Sign again what is about to expire, with the publisher's and the root key where they are here.

    The controller renews its own roles. Run this every week where the publisher's key is; in a cluster a CronJob does.
    """
    from skerry.adapters import blobs
    from skerry.adapters.trust import ceremony

    renewed = ceremony.renew(
        blobs.open_shared(locations.repository), _folder(locations), now=datetime.now(UTC), everything=everything
    )
    output.say(f"renewed {', '.join(renewed)}" if renewed else "nothing is due")


@keys.command()
@click.argument("what", type=click.Choice(["root", "publisher", "online"]))
@click.option("--lost", is_flag=True, help="Of the publisher: the old key is gone.")
@location_options
def rotate(locations: Locations, what: str, lost: bool) -> None:
    """Replace the keys of a custodian; what they signed stays valid. Needs the root key in the keys' folder.

    `online` is the way back after the controller's keys were stolen, and after a restore that nodes mistake for a
    replay. It may be run again when it was interrupted.
    """
    from skerry.adapters import blobs
    from skerry.adapters.trust import ceremony

    storage, folder, now = blobs.open_shared(locations.repository), _folder(locations), datetime.now(UTC)
    if what == "root":
        version = ceremony.rotate_root(storage, folder, now=now)
    elif what == "online":
        version = ceremony.rotate_online(storage, folder, now=now)
    else:
        version = ceremony.rotate_publisher(storage, folder, now=now, await_published=_await_published, lost=lost)
    output.say(f"the {what} keys are new; root is now version {version}")
    output.say(f"put {folder / what} where {what} keys are kept; the old ones no longer sign anything")


def _folder(locations: Locations) -> Path:
    if locations.keys is None:
        raise errors.InputError("--keys-folder (SKERRY_KEYS) must say where the keys are")
    return locations.keys


def _await_published(is_published: Callable[[], bool]) -> None:
    end = time.monotonic() + _PUBLISHED_S
    while not is_published():
        if time.monotonic() > end:
            raise errors.UnavailableError(
                f"the controller has published nothing for {_PUBLISHED_S:.0f} s: see that it runs, then run this again"
            )
        time.sleep(0.5)
