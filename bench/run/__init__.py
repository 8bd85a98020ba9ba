"""Commands: ``python -m bench.run.NAME`` from the root of the checkout."""
