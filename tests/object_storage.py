"""A real S3 server on loopback for tests: moto's, a process in an environment of its own (it needs boto)."""

import contextlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import environments
import require

REQUIREMENTS = ("moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5", "boto3==1.44.8")
BUCKET = "skerry"
_START_S = 120.0  # it imports for 20 s where the processor is shared and nothing is compiled yet


def _python() -> Path | None:
    return environments.python("s3", REQUIREMENTS, asked_by="s3")


requires_s3 = require.requires(
    "s3", lambda: _python() is not None, f"`SKERRY_REQUIRE=s3 make test` installs {', '.join(REQUIREMENTS)}"
)


class S3Server:
    """Start, stop, and start again (empty, as it keeps everything in memory) on the same port."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        command = [str(_python()), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + _START_S
        while not self._made():
            assert self._process.poll() is None, f"the S3 server ended with {self._process.poll()}"
            assert time.monotonic() < end, f"the S3 server did not answer within {_START_S:.0f} s"
            time.sleep(0.05)

    def _made(self) -> bool:
        """Make the bucket; moto asks for a signature's form, not for its truth."""
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}
        url = f"http://127.0.0.1:{self.port}/{BUCKET}"
        with contextlib.suppress(OSError):
            urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=signed), timeout=5).close()
            return True
        return False

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def running() -> Iterator[S3Server]:
    server = S3Server()
    try:
        yield server
    finally:
        server.close()
