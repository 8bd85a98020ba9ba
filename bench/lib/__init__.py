"""Modules that the commands in bench/run and the benchmarks import."""
