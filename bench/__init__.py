"""Benchmarks: skerry's servers beside those of others, on the same model, load and machine. See README.md."""
