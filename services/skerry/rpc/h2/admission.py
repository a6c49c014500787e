"""How many connections we keep: of all, and of one address. Counted from accept on, so half a TLS handshake counts."""

from skerry.rpc.limits import Limits


class Admission:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._of_address: dict[str, int] = {}
        self.connections = 0  # of all

    def enter(self, host: str) -> bool:
        """Count one more of `host` (as `addresses.place_of` gives it), or say that there is no room."""
        here = self._of_address.get(host, 0)
        if self.connections >= self._limits.max_connections or here >= self._limits.max_connections_per_address:
            return False
        self._of_address[host] = here + 1
        self.connections += 1
        return True

    def enter_beside(self, host: str) -> None:
        """Count one more although there is no room: another is leaving for it."""
        self._of_address[host] = self._of_address.get(host, 0) + 1
        self.connections += 1

    def is_full_for(self, host: str) -> bool:
        """Does `host` itself have as many as one may?"""
        return self._of_address.get(host, 0) >= self._limits.max_connections_per_address

    def leave(self, host: str) -> None:
        self.connections -= 1
        here = self._of_address.pop(host) - 1
        if here:
            self._of_address[host] = here
