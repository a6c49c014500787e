"""`skerry infer` and `skerry feedback`: ask an agent through the same gRPC door that every client uses."""

import uuid
from pathlib import Path

import click

from skerry.cli import output
from skerry.cli.up import state_option

_TIMEOUT_S = 10.0


@click.command()
@click.argument("model")
@click.option("--input", "path", required=True, type=click.Path(path_type=Path), help="npz, JSON or an image.")
@click.option("--node", default="", help="Which agent to ask (default: the first that serves MODEL).")
@click.option("--id", "request_id", default="", help="Request id, for later feedback (default: a new one).")
@output.json_option
@state_option
def infer(model: str, path: Path, node: str, request_id: str, as_json: bool, state: Path) -> None:
    """Ask an edge agent for MODEL's answer to one input.

    \b
    npz      one array per input by name, or a single array; a missing batch axis is added
    json     nested lists of numbers
    image    converted to grayscale or color as the model's input asks
    """
    import asyncio

    from skerry.cli import agent_client, object_access, system_file
    from skerry.core import specs

    store, system = object_access.store_of(state), system_file.read(state)
    described = specs.parse_edge_model(model, store.get("EdgeModel", model).spec)
    agent_client.check_file(path)
    address = agent_client.address_of(system, node) if node else agent_client.address_serving(system, store, model)
    served = asyncio.run(agent_client.inputs_of(address, model, _TIMEOUT_S))
    tensors = agent_client.read(path, described.input, served)
    if agent_client.is_squeezed(path, described.input):
        output.say(f"note: {path} is squeezed to the model's input: its sides are in another ratio", err=True)
    used_id = request_id or uuid.uuid4().hex
    reply, seconds = asyncio.run(agent_client.infer(address, model, used_id, tensors, _TIMEOUT_S))
    answer = agent_client.answer_document(reply, described.class_names, used_id, seconds)
    if as_json:
        output.print_json(answer)
        return
    for row in answer["rows"]:
        output.say(f"{row['class']}  ({answer['answers']} {', '.join(f'{value:.3f}' for value in row['logits'])})")
    output.say(
        f"route {answer['route']} ({answer['reason']}), confidence {answer['confidence']}, version {answer['version']} "
        f"{output.short(answer['digest'])}, {answer['milliseconds']:.1f} ms, request id {used_id}"
    )


@click.command()
@click.argument("model")
@click.argument("request_id")
@click.argument("label")
@click.option("--node", default="", help="The agent that answered (default: ask each).")
@state_option
def feedback(model: str, request_id: str, label: str, node: str, state: Path) -> None:
    """Give the true class (name or index) of an earlier request: it wins over any teacher."""
    from skerry.cli import agent_client, object_access, system_file
    from skerry.core import errors, specs

    described = specs.parse_edge_model(model, object_access.store_of(state).get("EdgeModel", model).spec)
    index = agent_client.class_index(label, described.class_names)
    system = system_file.read(state)
    addresses = [agent_client.address_of(system, node)] if node else [agent.address for agent in system.agents]
    if not any(agent_client.give_feedback(address, model, request_id, index, _TIMEOUT_S) for address in addresses):
        raise errors.NotFoundError(
            f"request {request_id} was not captured by any agent that was asked: there is nothing to label"
        )
    output.say(f"recorded: request {request_id} is {described.class_names[index]}")
