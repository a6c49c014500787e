"""A whole control plane with many simulated agents: what each part costs, and how that grows with the fleet."""
