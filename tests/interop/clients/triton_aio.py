"""tritonclient's asyncio client: many calls at once, and a stream. Arguments: address, expected logits as JSON."""

import asyncio
import json
import sys

import numpy as np
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

address, expected = sys.argv[1], np.array(json.loads(sys.argv[2]), dtype=np.float32)
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)


def tensor(x: np.ndarray) -> triton.InferInput:
    made = triton.InferInput("x", list(x.shape), "FP32")
    made.set_data_from_numpy(x)
    return made


async def main() -> None:
    async with triton.InferenceServerClient(address) as client:
        assert await client.is_server_ready()
        rows = [ROW * factor for factor in range(1, 41)]
        replies = await asyncio.gather(*(client.infer("digits", [tensor(row)]) for row in rows))
        for factor, reply in enumerate(replies, 1):
            np.testing.assert_allclose(reply.as_numpy("logits"), expected * factor, rtol=1e-5)

        async def requests():
            for at in range(10):
                yield {"model_name": "digits" if at != 4 else "nothing", "inputs": [tensor(ROW)], "request_id": str(at)}

        seen = []
        async for result, error in client.stream_infer(requests()):
            seen.append("error" if error is not None else result.get_response().id)
        assert seen == ["0", "1", "2", "3", "error", "5", "6", "7", "8", "9"], seen
        try:
            await client.infer("digits", [tensor(ROW[:, :1])])
            raise SystemExit("a wrong request was answered")
        except InferenceServerException as exc:
            assert "INVALID_ARGUMENT" in str(exc.status()), exc


asyncio.run(main())
sys.stdout.write("{}\n")
