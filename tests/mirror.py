"""A mirror of a model repository on loopback HTTP, honest until a test makes it lie as an attacker on the way would."""

import contextlib
import http.server
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path


class Mirror:
    """Serves `folder`. `overrides` maps a path like `metadata/timestamp.json` to other bytes; `endless` paths never
    end, `dripping` ones send a byte at a time, `down` answers nothing useful, `cuts` says after how many bytes the next
    answers of a path break off. Ranges are answered unless `ranges` is off; `asked` remembers them. `served_bytes`
    counts what left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.overrides: dict[str, bytes] = {}
        self.edit: Callable[[str, bytes], bytes] = lambda path, data: data
        self.endless: set[str] = set()
        self.dripping: set[str] = set()
        self.down = False
        self.cuts: dict[str, list[int]] = {}
        self.ranges, self.tag = True, '"a"'
        self.asked: list[str] = []
        self.served_bytes = 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def save(self, copy: Path) -> None:
        """Keep the repository as it is now, to replay it later."""
        shutil.copytree(self.folder, copy)

    def _handler(mirror) -> type[http.server.BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                file = mirror.folder / path
                if mirror.down or not (file.is_file() or path in mirror.overrides):
                    self.send_error(503 if mirror.down else 404)
                    return
                data = mirror.overrides.get(path) or mirror.edit(path, file.read_bytes())
                data = self._begin(path, data)
                if cuts := mirror.cuts.get(path):
                    data = data[: cuts.pop(0)]
                with contextlib.suppress(OSError):  # the client hung up, as it should
                    self._send(path, data)

            def _begin(self, path: str, data: bytes) -> bytes:
                """The headers; returns what of `data` follows them."""
                total, start = len(data), 0
                asked = self.headers.get("Range", "")
                if asked:
                    mirror.asked.append(asked)
                if asked and mirror.ranges and self.headers.get("If-Range", mirror.tag) == mirror.tag:
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                self.send_response((206 if start < total else 416) if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
                if path not in mirror.endless:
                    self.send_header("Content-Length", str(max(0, total - start)))
                self.send_header("ETag", mirror.tag)
                self.end_headers()
                return data[start:]

            def _send(self, path: str, data: bytes) -> None:
                chunks = [data[i : i + 1] for i in range(len(data))] if path in mirror.dripping else [data]
                while chunks:
                    for chunk in chunks:
                        self.wfile.write(chunk)
                        mirror.served_bytes += len(chunk)
                        if path in mirror.dripping:
                            time.sleep(0.05)
                    if path not in mirror.endless:
                        return

            def log_message(self, *args: object) -> None:
                pass

        return Handler
