"""May another model be loaded? A refusal keeps what serves; the kernel's out-of-memory killer would not."""

import os
from dataclasses import dataclass
from pathlib import Path

from skerry.core import errors

# ONNX Runtime keeps the weights, packed copies of them, and the arena: measured 2 to 3 times the file.
_COST_PER_FILE_BYTE = 3
_FIXED_COST_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """`limit_bytes` 0: no limit."""

    limit_bytes: int = 0
    statm: Path = Path("/proc/self/statm")

    def resident_bytes(self) -> int:
        try:
            return int(self.statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError, ValueError):
            return 0

    def check(self, what: str, file_bytes: int) -> None:
        """Raises OverloadedError when loading `what`, a file of `file_bytes`, would likely go above the limit."""
        if not self.limit_bytes:
            return
        used, needed = self.resident_bytes(), file_bytes * _COST_PER_FILE_BYTE + _FIXED_COST_BYTES
        if used + needed > self.limit_bytes:
            raise errors.OverloadedError(
                f"{what} needs about {needed >> 20} MiB beside {used >> 20} MiB in use, above the limit of "
                f"{self.limit_bytes >> 20} MiB: it is not loaded, and what serves keeps serving"
            )
