"""Plans: what is compared is measured side by side, under one name each."""

import pytest

from bench import plan, servers

NAMES = {
    "skerry",
    "skerry-grpcio",
    "raw-ort",
    "cpp-grpc",
    "grpc-aio",
    "grpc-sync",
    "mlserver",
    "kserve",
    "litserve",
    "bentoml",
}
PLANS = [pytest.param(plan.quick(), id="quick"), pytest.param(plan.full(), id="full")]


@pytest.mark.parametrize("chosen", PLANS)
def test_a_cell_is_measured_once_a_round_and_can_be_started(chosen: plan.Plan) -> None:
    cells = [cell for cells in chosen.groups.values() for cell in cells]
    assert len(cells) == len(set(cells))
    started = {cell.server for cell in cells} - {plan.FLOOR, "raw-ort-python"}
    assert started <= set(servers.SERVERS)
    assert {cell.server for cell in cells} - set(plan.SIDE) <= NAMES
    assert set(chosen.groups) == {cell.model for cell in cells} <= {"cnn", "rnn", "echo"}


@pytest.mark.parametrize("chosen", PLANS)
def test_cells_of_as_many_connections_stand_side_by_side(chosen: plan.Plan) -> None:
    for cells in chosen.groups.values():
        connections = [cell.connections for cell in cells]
        assert connections == sorted(connections)


def test_a_full_run_has_every_server_at_1_16_and_64_connections() -> None:
    found = {(cell.server, cell.connections) for cell in plan.full().groups["cnn"] if not cell.tls}
    assert {(name, count) for name in NAMES for count in (1, 16, 64)} <= found
