"""tritonclient's blocking client: what applications of Triton call. Arguments: address, expected logits as JSON."""

import json
import queue
import sys

import ml_dtypes
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

address, expected = sys.argv[1], np.array(json.loads(sys.argv[2]), dtype=np.float32)
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)


def tensor(x: np.ndarray, name: str = "x") -> triton.InferInput:
    made = triton.InferInput(name, list(x.shape), np_to_triton_dtype(x.dtype))
    made.set_data_from_numpy(x)
    return made


client = triton.InferenceServerClient(address)
assert client.is_server_live()
assert client.is_server_ready()
assert client.is_model_ready("digits")
assert client.is_model_ready("digits", "1")
about = client.get_server_metadata(as_json=True)
assert about["name"] == "skerry", about
made = client.get_model_metadata("digits", as_json=True)
assert made["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}], made
assert made["versions"] == ["1"], made

for compression in (None, "gzip"):
    reply = client.infer(
        "digits",
        [tensor(ROW)],
        outputs=[triton.InferRequestedOutput("logits")],
        request_id="r-1",
        compression_algorithm=compression,
        client_timeout=10,
        parameters={"camera": "north", "level": 3, "flag": True},
    )
    np.testing.assert_allclose(reply.as_numpy("logits"), expected, rtol=1e-5)
    assert reply.get_response().id == "r-1"
    assert reply.get_response().parameters["skerry_digest"].string_param.startswith("sha256:")

half = np.array([[0.5, 1.5]], dtype=np.float16)
np.testing.assert_array_equal(client.infer("half", [tensor(half)]).as_numpy("y"), half)
pair = client.infer("pair", [tensor(np.ones((3, 2), np.float32), "a"), tensor(np.ones((3, 2), np.float32), "b")])
assert pair.as_numpy("sum").shape == (3, 2)

# Every type of number in the client's own encoding.
for datatype, kind in (
    ("BOOL", bool),
    ("INT16", "i2"),
    ("UINT16", "u2"),
    ("UINT32", "u4"),
    ("BF16", ml_dtypes.bfloat16),
):
    ones = np.ones((2, 4), dtype=kind)
    sent = triton.InferInput("x", [2, 4], datatype)
    sent.set_data_from_numpy(ones)
    reply = client.infer(f"digits-{datatype.lower()}", [sent])
    np.testing.assert_array_equal(reply.as_numpy("logits"), [[-2.0, 2.0, 6.0]] * 2)

try:
    client.infer("digits", [tensor(ROW)], outputs=[triton.InferRequestedOutput("logits", class_count=2)])
    raise SystemExit("classification was answered with numbers")
except InferenceServerException as exc:
    assert "INVALID_ARGUMENT" in str(exc.status()), exc
    assert "'classification' is not supported" in exc.message(), exc

for wrong, status in ((ROW[:, :2], "INVALID_ARGUMENT"), (ROW.astype(np.float64), "INVALID_ARGUMENT")):
    try:
        client.infer("digits", [tensor(wrong)])
        raise SystemExit("a wrong request was answered")
    except InferenceServerException as exc:
        assert status in str(exc.status()), exc
        assert "'x'" in exc.message(), exc
try:
    client.infer("nothing", [tensor(ROW)])
    raise SystemExit("an unknown model was answered")
except InferenceServerException as exc:
    assert "NOT_FOUND" in str(exc.status()), exc

answered: "queue.Queue[object]" = queue.Queue()
for _ in range(20):
    client.async_infer("digits", [tensor(ROW)], lambda result, error: answered.put(error or result))
for _ in range(20):
    one = answered.get(timeout=10)
    np.testing.assert_allclose(one.as_numpy("logits"), expected, rtol=1e-5)

index = client.get_model_repository_index(as_json=True)
assert {one["name"]: one["state"] for one in index["models"]}["digits"] == "READY", index
client.unload_model("pair")
left = client.get_model_repository_index(as_json=True)["models"]
assert "READY" not in [one["state"] for one in left if one["name"] == "pair"], left
client.load_model("pair")
assert client.is_model_ready("pair")

# A stream, with the state of a recurrent network kept between its requests.
window = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
client.start_stream(lambda result, error: answered.put(error or result))
for at, row in enumerate(window):
    client.async_stream_infer(
        "rnn", [tensor(row[None])], request_id=str(at), sequence_id=77, sequence_start=at == 0, sequence_end=at == 4
    )
streamed = [answered.get(timeout=10) for _ in window]
assert [one.get_response().id for one in streamed] == ["0", "1", "2", "3", "4"]
client.async_stream_infer("rnn", [tensor(window[:1])], sequence_id=77, sequence_start=False, sequence_end=False)
ended = answered.get(timeout=10)
assert isinstance(ended, InferenceServerException), ended
assert "has ended" in ended.message(), ended
client.stop_stream()
logits = [one.as_numpy("logits")[0].tolist() for one in streamed]
client.close()
sys.stdout.write(json.dumps({"window": window.tolist(), "logits": logits}))
