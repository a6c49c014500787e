"""The whole platform on one machine: each part a process of its own, owned by one supervisor, loopback only."""
