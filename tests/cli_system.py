"""A state folder that looks like a running system to the commands: objects, blobs and the file that names them, but no
process. What needs a process is given an address by the test."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from skerry.adapters import blobs, objects
from skerry.cli import main, system_file
from skerry.core import contract, dataset_parts, datasets, digests, writers


class StillSystem:
    """`run("models", "list")` runs a command against the folder and returns click's Result."""

    def __init__(self, folder: Path, *, redis: str = "", agents: Sequence[system_file.Agent] = ()) -> None:
        self.folder = folder
        self.description = system_file.Description(
            objects=f"sqlite:///{folder / 'objects.db'}",
            blobs=f"file://{folder / 'blobs'}",
            redis=redis or f"unix://{folder / 'nobody.sock'}",
            repository=f"file://{folder / 'repository'}",
            keys=str(folder / "keys"),
            gateway="127.0.0.1:1",
            teacher="127.0.0.1:1",
            dashboard="127.0.0.1:1",
            agents=tuple(agents),
        )
        system_file.write(folder, self.description)
        self.objects = objects.open_objects(self.description.objects)
        self.blobs = blobs.open_blobs(self.description.blobs)

    def run(self, *arguments: str | Path) -> Result:
        """stdout and stderr apart, as a shell would see them."""
        environment = {"SKERRY_STATE_DIR": str(self.folder), "COLUMNS": "160"}
        return CliRunner().invoke(main.main, [str(one) for one in arguments], env=environment)

    def good(self, *arguments: str | Path) -> str:
        """The output of a command that must succeed."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output + repr(result.exception)
        return result.stdout

    def bad(self, code: int, *arguments: str | Path) -> str:
        """The one message of a command that must fail with `code`."""
        result = self.run(*arguments)
        assert result.exit_code == code, result.output + repr(result.exception)
        assert "Traceback" not in result.output
        return result.stderr

    def edge_model(self, name: str = "press", **spec: Any) -> None:
        described = {
            "classNames": ["ok", "worn", "broken"],
            "input": {"name": "window", "datatype": "FP32", "shape": [4, 2]},
        }
        self.objects.create("EdgeModel", name, described | spec, manager=writers.OPERATOR)

    def dataset(self, model: str = "press") -> tuple[datasets.DatasetManifest, dict[str, dataset_parts.Rows]]:
        """The dataset that the EdgeModel names: its manifest, and every row by role, read back and checked."""
        digest = self.objects.get("EdgeModel", model).spec["datasetDigest"]
        data = self.blobs.read(contract.dataset_path(model, digest), max_bytes=1 << 20)
        manifest = datasets.DatasetManifest.from_json(digests.verify(data, digest, "manifest"))
        rows = {}
        for role in ("train", "holdout"):
            parts = [
                dataset_parts.unpack(blobs.fetch(self.blobs, part.digest, 1 << 30), manifest)
                for part in manifest.parts
                if part.role == role
            ]
            rows[role] = dataset_parts.concatenate(parts, manifest.input, manifest.task)
        return manifest, rows
