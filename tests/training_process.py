"""`run` executes a test's script in a new process, after common imports and data."""

import os
import subprocess
import sys
import textwrap

import pytest

COMMON = """
import os, resource, signal, sys, threading, time
import numpy as np
import fastnn
from fastnn import nn, optim

after_import = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fastnn.set_backend(sys.argv[1])

def net_of():
    return nn.Sequential(
        nn.Dense(20, 64, bias=False), nn.BatchNorm(64), nn.ReLU(), nn.Dropout(0.1), nn.Dense(64, 4), seed=3
    )
"""
DATA = """
rng = np.random.default_rng(0)
X, y = rng.random(size=(200000, 20), dtype=np.float32), rng.integers(0, 4, 200000)
"""


def run(script, backend, data=DATA, timeout=120):
    code = COMMON + data + textwrap.dedent(script)
    # OpenBLAS hangs if another thread forks during one of its parallel products.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, backend],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


BACKENDS = pytest.mark.parametrize("backend", ["native", "reference"])
