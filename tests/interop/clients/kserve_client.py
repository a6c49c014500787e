"""KServe's InferenceGRPCClient, with raw and typed contents. Arguments: address, expected logits as JSON."""

import asyncio
import json
import sys

import numpy as np
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceGRPCClient

address, expected = sys.argv[1], np.array(json.loads(sys.argv[2]), dtype=np.float32)
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)


async def main() -> None:
    async with InferenceGRPCClient(url=address, timeout=10) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("digits")
        for binary in (True, False):
            x = InferInput(name="x", shape=[1, 4], datatype="FP32")
            x.set_data_from_numpy(ROW, binary_data=binary)
            reply = await client.infer(InferRequest(model_name="digits", infer_inputs=[x], request_id="k-1"))
            assert (reply.id, reply.model_name) == ("k-1", "digits"), reply
            np.testing.assert_allclose(reply.outputs[0].as_numpy(), expected, rtol=1e-5)


asyncio.run(main())
sys.stdout.write("{}\n")
