"""The time of `import fastnn` and the modules that it imports, measured in new processes."""

import os
import subprocess
import sys

import fastnn

SCRIPT = """
import sys, time
begin = time.process_time()
import numpy
before = set(sys.modules)
start = time.process_time()
import fastnn
share = (time.process_time() - start) / (start - begin)
heavy = {"sklearn", "tqdm", "matplotlib", "scipy", "torch", "pandas", "threadpoolctl", "difflib", "csv"}
heavy &= set(sys.modules) - before
print(share, *heavy)
"""


def test_import_is_light(tmp_path):
    # The first run compiles to bytecode, as an installation does. CPU time excludes other processes. The ratio to the
    # time of NumPy's import, about a half, does not depend on the speed of the machine at the moment.
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", SCRIPT]
    runs = [
        subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(6)
    ]
    assert all(run[1:] == [] for run in runs)
    assert min(float(run[0]) for run in runs) < 1


def test_public_names():
    assert sorted(fastnn.__all__) == fastnn.__all__
    assert all(hasattr(fastnn, name) for name in fastnn.__all__)
    for module in (fastnn.nn, fastnn.optim, fastnn.data, fastnn.training, fastnn.diagnosis, fastnn.engine):
        assert all(hasattr(module, name) for name in module.__all__), module
