"""`skerry models import` of networks whose input is no float32: callers send what the network takes."""

import asyncio
from pathlib import Path

import models
import numpy as np
import pytest
from plane import Plane

from skerry.cli.importing import network
from skerry.cli.importing.wanted import Wanted
from skerry.core import manifest, tensors
from skerry.core.tasks import Classification
from skerry.core.tensors import Spec, Tensor

LABELS = ("ok", "worn", "broken")
ROWS = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    "datatype",
    [
        "BOOL",
        "BF16",
        pytest.param("INT16", marks=pytest.mark.long),
        pytest.param("UINT16", marks=pytest.mark.long),
        pytest.param("UINT32", marks=pytest.mark.long),
    ],
)
async def test_a_network_of_another_number_type_is_imported_and_served(tmp_path: Path, datatype: str) -> None:
    (tmp_path / "model.onnx").write_bytes(models.cast_linear(datatype))
    np.savez(tmp_path / "golden.npz", x=ROWS.astype(tensors.DTYPES[datatype]))
    wanted = Wanted("valve", Classification(LABELS), "3 labels are given", 1.0, 0.8, ())
    version = await asyncio.to_thread(network.prepare, tmp_path / "model.onnx", tmp_path / "golden.npz", wanted)
    assert version.manifest.inputs == version.manifest.network_inputs == (Spec("x", datatype, (models.FEATURES,)),)

    folder = tmp_path / "served" / "valve" / "1"
    folder.mkdir(parents=True)
    for name, data in version.contents.items():
        (folder / name).write_bytes(data)
    assert manifest.from_json((folder / "manifest.json").read_bytes()) == version.manifest
    plane = await Plane(tmp_path / "served").load_all()
    sent = Tensor("x", datatype, ROWS.shape, ROWS.astype(tensors.DTYPES[datatype]))
    reply = await plane.ask("valve", sent)
    np.testing.assert_array_equal(reply.outputs[0].data, ROWS @ models.weights(1.0))
