"""`run` executes a test's script in a new process, after common imports and data; `in_two_threads` calls a step."""

import inspect
import os
import subprocess
import sys
import textwrap
import threading

import pytest
from waiting import until

COMMON = '''
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

def run_under_signals(step, handle, error, every):
    """Call `step` again and again while signals call `handle`; every so many of them raise an error in a step.

    That takes two seconds, and longer until there were more than 50 signals and 5 errors that came out of a step.
    """
    signals, errors, running = 0, 0, False

    def handler(number, frame):
        nonlocal signals
        handle()
        signals += 1
        if running and signals % every == 0:
            raise error

    def enough():
        return signals > 50 and errors > 5

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0015)
    for _ in until(2, enough):
        try:
            running = True
            step()
            running = False
        except error:
            running = False
            errors += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert enough(), (signals, errors)
'''
DATA = """
rng = np.random.default_rng(0)
X, y = rng.random(size=(200000, 20), dtype=np.float32), rng.integers(0, 4, 200000)
"""


def run(script, backend, data=DATA, timeout=280):
    # `until` uses `time`, which COMMON imports.
    code = COMMON + inspect.getsource(until) + data + textwrap.dedent(script)
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


def in_two_threads(steps):
    """Call two functions in a thread each, again and again, and return how many calls were not refused.

    Parameters
    ----------
    steps : sequence of two callables
        Each takes the number of the call. They train one net, and may be refused for that.
    """
    done, wrong, start = [0, 0], [], threading.Barrier(2)

    def loop(i):
        start.wait()
        for number in range(150):
            try:
                steps[i](number)
                done[i] += 1
            except RuntimeError as error:
                if "being trained" not in str(error):
                    wrong.append(error)

    threads = [threading.Thread(target=loop, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sum(done)
    return sum(done)


# Users run the native backend. Locks and signal handling are the same code in both, so `make test` leaves the
# reference out.
BACKENDS = pytest.mark.parametrize("backend", ["native", pytest.param("reference", marks=pytest.mark.slow)])
