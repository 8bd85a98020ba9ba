"""Benchmarks of fastnn. README.md says which command answers which question."""
