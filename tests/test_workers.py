"""The threads of the pool block signals, so that other threads of the process get them."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

COMMON = """
import os, signal, sys, threading, time
import numpy as np
import fastnn
from fastnn import kernels

def work():
    with fastnn.num_threads(3):
        kernels.softmax(np.zeros((4096, 256), np.float32))

def masks():
    found = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as lines:
            found[int(task)] = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk"))
    return found
"""


def run(script):
    code = COMMON + textwrap.dedent(script)
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # as threads of OpenBLAS do not block signals
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.split()


@pytest.mark.skipif(not hasattr(signal, "sigtimedwait"), reason="the system has no sigtimedwait")
def test_a_thread_that_waits_for_signals_gets_them():
    """The signals are blocked after the workers have started, so that workers do not inherit the block."""
    out = run(
        """
        numbers = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM, signal.SIGCHLD}
        work()
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        for number in sorted(numbers):
            for _ in range(20):
                os.kill(os.getpid(), number)
                got = signal.sigtimedwait([number], 10)
                assert got is not None and got.si_signo == number, number
            work()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert signal.sigtimedwait([signal.SIGALRM], 10) is not None
        print("all")
        """
    )
    assert out == ["all"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not show threads")
def test_workers_block_all_but_faults():
    """Also in a child of fork. The signal mask of the thread that starts the workers does not change."""
    out = run(
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        def check():
            before = masks()
            work()
            after = masks()
            assert after.items() >= before.items()
            workers = [mask for task, mask in after.items() if task not in before]
            assert len(workers) == 2, after
            free = {signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}
            for number in signal.valid_signals() - free:
                assert all(mask >> (number - 1) & 1 for mask in workers), number
            for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE):
                assert not any(mask >> (number - 1) & 1 for mask in workers), number
        check()
        child = os.fork()
        if child == 0:
            try:
                check()
            except BaseException as error:
                print(repr(error))
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print("all")
        """
    )
    assert out == ["all"]
