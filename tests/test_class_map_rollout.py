"""Classes are renamed and merged, and the next version goes all the way to every node: the trainer, the controller and
the curator are the real ones, nodes answer with the files that were published."""

from pathlib import Path
from typing import Any

import controlling
import curating
import pytest
import training_world

from skerry.adapters import blobs as blob_store
from skerry.adapters import dataset_store
from skerry.core import contract, datasets, digests, evidence_counters, manifest, truth_delay
from skerry.core.tasks import Classification
from skerry.proto import fleet_pb2
from skerry.trainer import cycle, main
from skerry.trainer.shipped import Shipped

pytestmark = pytest.mark.long

MODEL = "digits"  # what `controlling` calls its model
OLD = training_world.TASK  # ok, worn, broken
NEW = Classification(("bad", "fine"))
ENTRY = {"from": list(OLD.class_names), "to": {"ok": "fine", "worn": "bad", "broken": "bad"}}
ROWS = 40  # that a node answers in a second


class Curator(curating.World):
    """On the stores of a system that is there already; there is no teacher, people tell what an answer should be."""

    def __post_init__(self) -> None:
        self.teacher.models = set()
        self.restart()


class Plant(controlling.World):
    """Presses, in place of digits. People tell the truth in the old terms and cannot tell worn from broken."""

    task = OLD

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.trainer, self._shipped = self._train, {}
        self.answered = 0
        self.dataset = self._imported()
        described = training_world.spec(datasetDigest=self.dataset)
        self.replace_model(**described | {"retrain": described["retrain"] | {"enabled": False}})
        self.curator = Curator(
            self.blobs, fleetstate=self.fleetstate, objects=self.objects, settings=curating.settings(batch_rows=64)
        )

    def others(self) -> None:
        super().others()
        self.curator.clock.now_s = self.now_ms / 1000
        self.curator.work(4)

    def answer(self, node: str, digest: str, n: int) -> None:
        """The node captures what it explores, and somebody tells what it was."""
        version = self.version(digest)
        self.answered += 1
        x, y = training_world.windows([ROWS // 4, ROWS // 4, ROWS // 2], seed=10_000 + self.answered)
        for row, (logits, label) in enumerate(zip(version.logits(x), y.tolist(), strict=True)):
            captured = fleet_pb2.CapturedTensor(name="window", datatype="FP32", shape=[1, 20, 4], raw=x[row].tobytes())
            example = fleet_pb2.Example(
                model=MODEL,
                node=node,
                request_id=f"r{self.answered}-{row}",
                digest=digest,
                kind=fleet_pb2.EXPLORATION,
                inputs=[captured],
                local_logits=logits.tolist(),
                answered_unix_ms=self.now_ms,
                label_map=version.manifest.task.digest,
            ).SerializeToString(deterministic=True)
            said = {0: 0, 1: 2, 2: 1}[label]
            truth = fleet_pb2.Truth(
                model=MODEL, node=node, example_id=digests.sha256(example), label=said, label_map=OLD.digest
            ).SerializeToString(deterministic=True)
            self.curator.upload(example)
            self.curator.upload(truth, kind="truth", about=example)
        self._count(contract.Counted.REQUESTS, node, digest, ROWS, 0, truth_delay.AT_ONCE)

    def version(self, digest: str) -> Shipped:
        if digest not in self._shipped:
            made = manifest.from_json(blob_store.fetch(self.blobs, digest, manifest.MAX_BYTES))
            self._shipped[digest] = Shipped(made, blob_store.fetch(self.blobs, made.files["model"].digest, 1 << 20))
        return self._shipped[digest]

    def digest_of(self, version: str) -> str:
        return str(self.get("ModelVersion", version).spec["digest"])

    def counts(self, version: str) -> tuple[int, int]:
        """(answers, bad ones) of a version, of all nodes, as the curator counted them in this hour."""
        digest, since_ms = self.digest_of(version), self.now_ms - 3_600_000
        buckets = evidence_counters.past(
            contract.Counted.ANSWERS, MODEL, digest, since_ms, self.now_ms, truth_delay.AT_ONCE
        )
        found = self.fleetstate.count(buckets)
        answers = sum(fields.get(node, 0) for fields in found for node in self.nodes)
        return answers, sum(fields.get(contract.bad_field(node), 0) for fields in found for node in self.nodes)

    def _train(self, run: str) -> None:
        """The training job: the trainer's own cycle on what the controller wrote down for it."""
        cycle.run(main.resolve(self.blobs, run), self.blobs, None)
        self.jobs.end(run, 0, b'{"event": "done"}\n')

    def _imported(self) -> str:
        roles: tuple[tuple[datasets.Role, Any], ...] = (
            ("train", training_world.rows([90, 90, 90])),
            ("holdout", training_world.rows([300, 300, 300], seed=1)),
        )
        parts = [dataset_store.write_part(self.blobs, role, "imported", rows) for role, rows in roles]
        return dataset_store.write_manifest(
            self.blobs, datasets.DatasetManifest(MODEL, OLD, training_world.INPUT, tuple(parts))
        )


def test_a_version_of_renamed_and_merged_classes_is_trained_compared_in_the_new_terms_and_promoted(
    tmp_path: Path,
) -> None:
    plant = Plant(tmp_path)
    plant.ask_run("run-1")
    plant.run(25)
    assert plant.stable == "digits-v1"
    assert plant.version(plant.digest_of("digits-v1")).manifest.class_names == OLD.class_names
    answers, bad = plant.counts("digits-v1")
    assert bad / answers == pytest.approx(0.75, abs=0.05), "in the old terms worn and broken are taken for one another"

    plant.edit_model(
        classNames=list(NEW.class_names),
        classMap=[ENTRY],
        network={"factory": "own_networks:press", "options": {"width": 48, "classes": 2}},
    )
    plant.run(2)
    before = plant.counts("digits-v1")
    plant.ask_run("run-2")  # on the data set of before
    while plant.objects.list("ModelRollout")[-1].name != "digits-v2-auto":
        plant.run(1)
    plant.run(40)

    told = plant.get("ModelRollout", "digits-v2-auto").status
    assert told["phase"] == "Succeeded", told
    (verdict, *_) = (wave["verdict"] for wave in told["waves"])
    assert verdict["code"] == "NotWorse", "canary and baseline were compared"
    answers, bad = (after - earlier for after, earlier in zip(plant.counts("digits-v1"), before, strict=True))
    assert answers >= 100 and bad <= answers // 20, "the version before is right in the new terms"
    answers, bad = plant.counts("digits-v2")
    assert answers >= 100 and bad <= answers // 20
    assert plant.stable == "digits-v2" and set(plant.serving().values()) == {2}
    shipped = plant.version(plant.digest_of("digits-v2")).manifest
    assert shipped.class_names == NEW.class_names
    assert isinstance(shipped.task, Classification) and shipped.task.meanings(OLD.digest) == (1, 0, 0)
    report = plant.get("ModelVersion", "digits-v2").spec["verdict"]
    assert report["outcome"] == "Pass"
