"""The `skerry` command: the table of its subcommands. Each lives in a module that is imported when it runs."""

import io
import sys
from importlib import metadata

import click

from skerry.adapters import files
from skerry.cli import acting, output
from skerry.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "demo": Entry("skerry.cli.demo.command:demo", "Run the whole loop on real digits."),
    "up": Entry("skerry.cli.up:up", "Start the platform on this machine."),
    "down": Entry("skerry.cli.up:down", "Stop everything that `skerry up` started."),
    "infer": Entry("skerry.cli.infer:infer", "Ask an edge agent for an answer."),
    "feedback": Entry("skerry.cli.infer:feedback", "Give the truth of an earlier request."),
    "models": Entry("skerry.cli.models:models", "List, import and describe models."),
    "versions": Entry("skerry.cli.versions:versions", "List versions, and show what became of a network."),
    "labels": Entry("skerry.cli.labels:labels", "See how far labels are, and what was set aside."),
    "datasets": Entry("skerry.cli.datasets:datasets", "Import labelled data."),
    "teach": Entry("skerry.cli.teach:teach", "Train a model's teacher and let it serve."),
    "retrain": Entry("skerry.cli.runs:retrain", "Ask for a training run."),
    "runs": Entry("skerry.cli.runs:runs", "List training runs."),
    "rollout": Entry("skerry.cli.rollout:rollout", "See and control rollouts."),
    "backup": Entry("skerry.cli.backup.command:backup", "Save what must not be lost, also of a running system."),
    "restore": Entry("skerry.cli.backup.command:restore", "Put a backup back, or check one."),
    "keys": Entry("skerry.cli.keys.command:keys", "Secrets of an installation; renew and rotate signing keys."),
    "warnings": Entry("skerry.cli.warnings:warnings", "List what nodes warn of, also without a cloud."),
    "fleets": Entry("skerry.cli.fleets:fleets", "List fleets of nodes and make them."),
    "erase": Entry("skerry.cli.erase:erase", "Remove what must not be kept, wherever it lies."),
    "nodes": Entry("skerry.cli.nodes:nodes", "List edge nodes; admit them and keep them out."),
    "audit": Entry("skerry.cli.audit:audit", "List what people did, and what it came to."),
    "lineage": Entry("skerry.cli.lineage.command:lineage", "Show what came of what, and verify it."),
}


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        output.say(f"skerry {metadata.version('skerry')}")
        ctx.exit()


@click.group(cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--reason",
    default="",
    metavar="TEXT",
    envvar="SKERRY_REASON",
    expose_value=False,
    callback=acting.keep_reason,
    help="Why it is done, for `skerry audit`.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def main() -> None:
    """Edge inference that improves itself: hard cases become the next signed, judged and reversible version."""
    files.keep_private()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows ?, and the command goes on


if __name__ == "__main__":
    main()
