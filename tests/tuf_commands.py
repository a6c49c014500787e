"""The three commands of the TUF conformance suite, played by `adapters.trust.client`."""

import argparse
import contextlib
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from skerry.adapters.trust import client, fetcher
from skerry.core import errors

_MAX_BYTES = 16 << 20
_TIMEOUT_S = 60.0


def play(arguments: list[str], unix_s: float) -> str:
    """`0` or `1`, and below it what a person would be told. Whatever is no error of skerry's comes out as it is."""
    options = _parser().parse_args(arguments)
    state = options.metadata_dir.parent  # the client keeps its metadata in <state>/metadata
    try:
        if options.command == "init":
            shutil.copyfile(options.root, state / "trusted-root.json")
        else:
            _update(state, options, datetime.fromtimestamp(unix_s, UTC))
    except errors.SkerryError as exc:
        return f"1\n{exc}"
    return "0\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url")
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    return parser


def _update(state: Path, options: argparse.Namespace, now: datetime) -> None:
    """Refresh; then download what was asked for, in order."""
    url = options.metadata_url.rstrip("/").removesuffix("/metadata")
    node = client.TrustClient(state, (state / "trusted-root.json").read_bytes(), url)
    with contextlib.closing(fetcher.Fetcher(time.monotonic() + _TIMEOUT_S, None, state / "unfinished")) as http:
        with client._translated("the repository's metadata"):
            updater = node._refresh(now, http)
        for name in options.target_name:
            target = node._find(updater, name)
            if target is None:
                raise errors.IntegrityError(f"{name} is not signed")
            node._download(http, updater, _MAX_BYTES, target, options.target_dir / quote(name, safe=""))
