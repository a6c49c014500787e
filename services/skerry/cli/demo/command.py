"""`skerry demo`: the closed loop on this machine, from one command. What it needs is imported when it runs."""

from pathlib import Path

import click

from skerry.cli.demo import digits_model

RATE = 150.0


@click.command()
@click.option("--network", type=click.Choice(["cnn", "rnn"]), default="cnn", show_default=True, help="Network family.")
@click.option("--fault", type=click.Choice(digits_model.FAULTS), help="Do this harm, and check what follows.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the summary as JSON.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default="report.html",
    show_default=True,
    help="Where the drawn report goes.",
)
@click.option("--rate", default=RATE, show_default=True, type=click.FloatRange(20, 1000), help="Requests per second.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the state folder and logs here.")
@click.option(
    "--transport", type=click.Choice(["h2", "grpcio"]), default="h2", show_default=True, help="gRPC transport."
)
def demo(
    network: str,
    fault: str | None,
    json_file: Path | None,
    report: Path,
    rate: float,
    keep: Path | None,
    transport: str,
) -> None:
    """Run the whole loop on real digits: edge agents answer, what is hard becomes a better version for them all.

    Exit code 0 means that the loop closed (with --fault: that the stated outcome was seen).
    """
    from skerry.cli.demo import run

    good = run.run(run.Wanted(network, fault, rate, transport, report, json_file, keep))
    raise SystemExit(0 if good else 1)
