"""The names that services meet at, spelled out: what an earlier release stored or sent must still be found."""

import pytest

from skerry.core import contract, errors
from skerry.proto import fleet_pb2

HEX = "ab" * 32


@pytest.mark.parametrize(
    ("made", "stored"),
    [
        pytest.param(contract.STREAM, "skerry:examples", id="the stream"),
        pytest.param(contract.CURATORS, "curator", id="its group of readers"),
        pytest.param(contract.example_path("m", HEX), f"examples/m/{HEX}", id="an example"),
        pytest.param(contract.truth_path("m", HEX), f"truths/m/{HEX}", id="a truth"),
        pytest.param(contract.label_path("m", HEX), f"labels/m/{HEX}.json", id="a label"),
        pytest.param(contract.dataset_path("m", f"sha256:{HEX}"), f"datasets/m/{HEX}", id="a dataset's manifest"),
        pytest.param(contract.snapshot_path("run-1"), "runs/run-1.json", id="a run's snapshot"),
        pytest.param(contract.proposal_path("run-1"), "proposals/run-1.json", id="a run's proposal"),
        pytest.param(contract.node_reading("north", "m"), "node:north:m", id="a node's reading of a model"),
        pytest.param(contract.spool_reading("north"), "spool:north", id="a node's spool"),
        pytest.param(contract.curator_reading("m"), "curator:m", id="what the curator says"),
        pytest.param(
            contract.comparison_counter(contract.Counted.ANSWERS, "m", f"sha256:{HEX}", 12_345),
            f"answered:m:{HEX}:since:12345",
            id="a counter of answers since a rollout compares",
        ),
        pytest.param(
            contract.bucket_counter(contract.Counted.REQUESTS, "m", f"sha256:{HEX}", 300_000, 3),
            f"requested:m:{HEX}:300000:3",
            id="a counter of the requests of five minutes",
        ),
        pytest.param(
            contract.stream_entry("m", f"sha256:{HEX}", contract.TRUTH),
            {"model": "m", "id": f"sha256:{HEX}", "kind": "truth"},
            id="an entry of the stream",
        ),
    ],
)
def test_what_is_stored_keeps_its_name(made: object, stored: object) -> None:
    assert made == stored


def test_the_methods_are_those_of_the_protocol() -> None:
    fleet, enrolment = (fleet_pb2.DESCRIPTOR.services_by_name[name] for name in ("Fleet", "Enrolment"))
    declared = {f"/{service.full_name}/{method.name}" for service in (fleet, enrolment) for method in service.methods}
    assert declared == {contract.SYNC, contract.UPLOAD, contract.RENEW, contract.ENROL}


def test_kinds_of_records_are_the_fields_of_the_protocol() -> None:
    body = fleet_pb2.Record.DESCRIPTOR.oneofs_by_name["body"]
    assert {field.name for field in body.fields} == {contract.EXAMPLE, contract.TRUTH}


@pytest.mark.parametrize("digest", ["", "sha256:", HEX, f"sha256:{HEX}/../x"])
def test_what_is_no_digest_names_nothing(digest: str) -> None:
    with pytest.raises(errors.InputError):
        contract.dataset_path("m", digest)
    with pytest.raises(errors.InputError):
        contract.comparison_counter(contract.Counted.ANSWERS, "m", digest, 1)


def test_a_record_that_fits_an_upload_is_taken_again_from_storage() -> None:
    assert contract.SHARED_UPLOAD_BYTES < contract.MAX_EXAMPLE_BYTES < contract.MAX_UPLOAD_BYTES
    assert contract.MAX_UPLOAD_BYTES < contract.MAX_FLEET_MESSAGE_BYTES
    assert contract.MAX_TRUTH_BYTES <= contract.MAX_UPLOAD_BYTES
