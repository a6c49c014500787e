"""The agent's own path: cascade, sampling and spool around the data plane, without a cloud. PORT KIND MODEL."""

import sys
import tempfile
from pathlib import Path

import uvloop

from skerry import rpc
from skerry.agent import wiring
from skerry.agent.settings import Settings


async def _main(state: Path) -> None:
    port, kind, model = sys.argv[1:4]
    nowhere = "127.0.0.1:9"
    settings = Settings("bench", state, state / "root.json", nowhere, f"http://{nowhere}/", ("127.0.0.1", int(port)))
    serving = wiring.open_serving(settings)
    version = await serving.registry.load(kind, 1, Path(model).parent)
    serving.cascade.register_version(version.digest, version.manifest)
    serving.registry.activate(kind, 1)
    await rpc.open_server(settings.transport, serving.methods()).listen(*settings.listen)
    await serving.capture_queue.run()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(_main(Path(folder)))
