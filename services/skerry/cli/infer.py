"""`skerry infer` and `skerry feedback`: ask an agent through the same gRPC door that every client uses."""

import uuid
from pathlib import Path
from typing import Any

import click

from skerry.cli import output
from skerry.cli.up import state_option

_TIMEOUT_S = 10.0


@click.command()
@click.argument("model")
@click.option("--input", "path", required=True, type=click.Path(path_type=Path), help="npz, JSON or an image.")
@click.option("--node", default="", help="Which agent to ask (default: the first that serves MODEL).")
@click.option("--id", "request_id", default="", help="Request id, for later feedback (default: a new one).")
@click.option("--series", default="", help="Forecasts: the name of the series that the input is of.")
@click.option(
    "--time", "moment", default="", help="Forecasts: the series' own time of the input's last step, 2018-01-31T13:00Z."
)
@click.option("--subject", default="", help="Whom the input is of (skerry_subject): kept hashed, for `skerry erase`.")
@click.option("--print-token", is_flag=True, help="Print the answer to stderr, and only its feedback token to stdout.")
@output.json_option
@state_option
def infer(
    model: str,
    path: Path,
    node: str,
    request_id: str,
    series: str,
    moment: str,
    subject: str,
    print_token: bool,
    as_json: bool,
    state: Path,
) -> None:
    """Ask an edge agent for MODEL's answer to one input.

    \b
    npz      one array per input by name, or a single array; a missing batch axis is added
    json     nested lists of numbers
    image    converted to grayscale or color as the model's input asks
    """
    import asyncio

    from skerry.cli import agent_client, answering_task, object_access, system_file
    from skerry.core import errors, specs, subjects
    from skerry.core.inference import InferRequest

    stamp = agent_client.stamp_of(series, moment)
    store, system = object_access.store_of(state), system_file.read(state)
    described = specs.parse_edge_model(model, store.get("EdgeModel", model).spec)
    agent_client.check_file(path)
    address = agent_client.address_of(system, node) if node else agent_client.address_serving(system, store, model)
    served = asyncio.run(agent_client.inputs_of(address, model, _TIMEOUT_S))
    tensors = agent_client.read(path, described.input, served)
    if agent_client.is_squeezed(path, described.input):
        output.say(f"note: {path} is squeezed to the model's input: its sides are in another ratio", err=True)
    if not described.class_names and len(stamp) < 2:
        output.say("note: nothing is learned from a forecast that names no --series and --time", err=True)
    whose = {subjects.SUBJECT: subjects.check(subject)} if subject else {}
    used_id = request_id or uuid.uuid4().hex
    request = InferRequest(model=model, id=used_id, inputs=tensors, parameters={**stamp, **whose})
    reply, seconds = asyncio.run(agent_client.infer(address, request, _TIMEOUT_S))
    answering = answering_task.task_of(system, described.task, str(reply.parameters.get("skerry_digest", "")))
    answer = agent_client.answer_document(reply, answering, used_id, seconds)
    if print_token and not answer["token"]:
        raise errors.RejectedError(
            f"the answer came without a token: it was not captured, or tokens are not taken there. "
            f"offload.explorationPermille of {model} says how many answers are"
        )
    if as_json:
        output.print_json(answer, err=print_token)
    else:
        _print_answer(answer, err=print_token)
    if print_token:
        output.say(answer["token"])


def _print_answer(answer: dict[str, Any], *, err: bool) -> None:
    for row in answer["rows"]:
        output.say(row["text"], err=err)
    output.say(
        f"route {answer['route']} ({answer['reason']}), confidence {answer['confidence']}, version {answer['version']} "
        f"{output.short(answer['digest'])}, {answer['milliseconds']:.1f} ms, request id {answer['id']}",
        err=err,
    )
    if answer["token"]:
        output.say(f"feedback token {answer['token']}", err=err)


@click.command(context_settings={"ignore_unknown_options": True})  # -3.5 is a value
@click.argument("model")
@click.argument("request_id")
@click.argument("truth", nargs=-1, required=True)
@click.option("--token", default="", help="The feedback token that came with the answer.")
@click.option(
    "--secret-file",
    envvar="SKERRY_FEEDBACK_SECRET_FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of the site's secret, where agents take that.",
)
@click.option("--node", default="", help="The agent that answered (default: ask each).")
@state_option
def feedback(
    model: str, request_id: str, truth: tuple[str, ...], token: str, secret_file: Path | None, node: str, state: Path
) -> None:
    """Give the truth of an earlier request, which wins over any teacher: the class (name or index), or the value that
    was forecast, one per step in order.

    Agents take it with the token that `skerry infer` shows; a row of a request with several is REQUEST_ID#ROW.
    """
    from skerry.adapters import files
    from skerry.cli import agent_client, object_access, system_file
    from skerry.core import errors, specs

    for part in (model, *truth):
        if part.startswith("--"):  # options that are not known arrive as arguments
            raise click.NoSuchOption(part.partition("=")[0], ctx=click.get_current_context())
    described = specs.parse_edge_model(model, object_access.store_of(state).get("EdgeModel", model).spec)
    told = agent_client.truth_of(truth, described.task)
    system = system_file.read(state)
    addresses = [agent_client.address_of(system, node)] if node else [agent.address for agent in system.agents]
    secret = files.read(secret_file, max_bytes=4096).decode(errors="replace").strip() if secret_file else ""
    given = agent_client.Truth(model, request_id, told, token, secret, described.task.digest)
    if not agent_client.give_feedback_to_any(addresses, given, _TIMEOUT_S):
        what = "label" if described.class_names else "compare with what was forecast"
        raise errors.NotFoundError(
            f"request {request_id} was not captured by any agent that was asked, or is forgotten there: there is "
            f"nothing to {what}, and the truth was not kept"
        )
    output.say(f"recorded: request {request_id} is {described.task.truth_text(told)}")
