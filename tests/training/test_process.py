"""Training and the process: Ctrl-C, fork and memory. Each test runs a script in a new process."""

import pytest
from training_process import BACKENDS, run


@BACKENDS
def test_ctrl_c_ends_a_fit_soon_after_a_whole_step(backend):
    """The net after an interrupt equals that of a run of the same number of steps, and training can continue."""
    out = run(
        """
        trainer = fastnn.Trainer(net_of())
        sent = []
        def interrupt():
            while trainer.step_count < 30:
                time.sleep(0.001)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            trainer.fit(X, y, epochs=100000, batch_size=16, verbose=0)
        except KeyboardInterrupt:
            answered = time.monotonic() - sent[0]
        steps, epochs = trainer.step_count, len(trainer.history.epochs)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

        class Stop(fastnn.Callback):
            def on_progress(self, other, logs):
                if other.step_count >= steps:
                    other.stop()
            def on_batch_end(self, other, logs):
                pass
        same = fastnn.Trainer(net_of())
        same.fit(X, y, epochs=epochs + 1, batch_size=16, callbacks=[Stop()], verbose=0)
        assert same.step_count == same.net.training_steps == trainer.net.training_steps == steps
        assert np.array_equal(same.net.params.data, trainer.net.params.data)
        assert np.array_equal(same.net.state.data, trainer.net.state.data)
        assert all(np.array_equal(*pair) for pair in zip(same._slots, trainer._slots))
        assert trainer.epoch == epochs
        trainer.fit(X, y, epochs=1, verbose=0)
        print(answered, steps)
        """,
        backend,
    )
    assert float(out[0]) < 1.0  # 0.05 s on a quiet machine
    assert int(out[1]) >= 30


@BACKENDS
def test_interrupts_at_any_time_leave_whole_steps(backend):
    """Many interrupts: wherever they occur, arrays and counters are of the same step, and no lock is held."""
    run(
        """
        trainer = fastnn.Trainer(net_of())
        X, y = X[:640], y[:640]
        stop = threading.Event()
        def handler(number, frame):
            # An interrupt of this script outside of fit would be an error of the test.
            while frame is not None:
                if frame.f_code is fastnn.Trainer.fit.__code__:
                    raise KeyboardInterrupt
                frame = frame.f_back
        signal.signal(signal.SIGINT, handler)
        def storm():
            random = np.random.default_rng(1)
            while not stop.is_set():
                time.sleep(random.uniform(0.0005, 0.004))
                os.kill(os.getpid(), signal.SIGINT)
        for attempt in range(40):
            stop.clear()
            thread = threading.Thread(target=storm)
            try:
                thread.start()
                trainer.fit(X, y, epochs=1000, batch_size=16, verbose=0)
            except KeyboardInterrupt:
                pass
            finally:
                stop.set()
                thread.join()
            assert trainer.step_count == trainer.net.training_steps
        assert trainer.net.training_claim.acquire(blocking=False)
        trainer.net.training_claim.release()
        trainer.net.predict(X)
        trainer.fit(X, y, epochs=1, verbose=0)
        assert np.isfinite(trainer.net.params.data).all()
        """,
        backend,
    )


@BACKENDS
def test_ctrl_c_ends_a_prediction(backend):
    """The remaining rows are not predicted, and no lock is held."""
    run(
        """
        net = nn.Sequential(nn.Dense(20, 512), nn.ReLU(), nn.Dense(512, 512), nn.ReLU(), nn.Dense(512, 1), seed=0)
        out = np.full((len(X), 1), np.nan, dtype=np.float32)
        def interrupt():
            while np.isnan(out[0, 0]):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            net.predict(X, out=out)
        except KeyboardInterrupt:
            assert np.isnan(out[-1, 0])
        else:
            raise SystemExit("the prediction went on")
        with net.lock.writing():
            pass
        at_once, in_parts = net.predict(X[:999]), np.vstack([net.predict(X[:500]), net.predict(X[500:999])])
        if sys.argv[1] == "native":
            assert np.array_equal(at_once, in_parts)
        np.testing.assert_allclose(at_once, in_parts, rtol=1e-4)  # BLAS may round differently for other numbers of rows
        """,
        backend,
    )


def test_ctrl_c_runs_the_users_handler_and_threads_set_none():
    run(
        """
        class Mine(Exception):
            pass
        def handler(number, frame):
            raise Mine
        signal.signal(signal.SIGINT, handler)
        trainer = fastnn.Trainer(net_of())
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            trainer.fit(X, y, epochs=100000, verbose=0)
        except Mine:
            pass
        assert signal.getsignal(signal.SIGINT) is handler
        thread = threading.Thread(target=trainer.fit, args=(X, y), kwargs={"epochs": 1, "verbose": 0})
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGINT) is handler
        """,
        "native",
    )


def test_fork_after_a_parallel_fit():
    run(
        """
        X, y = rng.normal(size=(4000, 200)).astype(np.float32), rng.integers(0, 10, 4000)
        def fit():
            net = nn.Sequential(nn.Dense(200, 256), nn.ReLU(), nn.Dense(256, 10), seed=0)
            with fastnn.num_threads(2):
                fastnn.Trainer(net).fit(X, y, epochs=1, batch_size=512, verbose=0)
                return net, net.predict(X)
        net, wanted = fit()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with fastnn.num_threads(2):
                    same = np.array_equal(net.predict(X), wanted)
                status = 0 if same and np.array_equal(fit()[1], wanted) else 2
            finally:
                os._exit(status)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                break
            time.sleep(0.01)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise SystemExit("the child hangs")
        assert status == 0, status
        assert np.array_equal(fit()[1], wanted)
        """,
        "native",
    )


@BACKENDS
def test_fork_while_another_thread_trains(backend):
    """The child can use the net, though its lock was held by a thread that the child does not have."""
    run(
        """
        trainer, X, y = fastnn.Trainer(net_of()), X[:8000], y[:8000]
        settings = {"epochs": 10**6, "batch_size": 1000, "verbose": 0}
        thread = threading.Thread(target=trainer.fit, args=(X, y), kwargs=settings, daemon=True)
        thread.start()
        for attempt in range(10):
            while trainer.step_count <= 20 * attempt:
                time.sleep(0.001)
            child = os.fork()
            if child == 0:
                signal.alarm(30)  # ends a child that hangs
                status = 1
                try:
                    trainer.net.predict(X)
                    with trainer.net.lock.writing():
                        status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
        trainer.stop()
        thread.join()
        """,
        backend,
    )


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_memory_of_a_fit(dtype):
    """Limit above the import: data, 8 bytes a row, 5 times the parameters, two batches of activations and 8 MB."""
    out = run(
        """
        n, batch = 60000, 128
        X = np.empty((n, 784), dtype=DTYPE)
        for start in range(0, n, 1000):
            X[start : start + 1000] = start % 251
        X[:, 0] = np.arange(n) % 10
        y = np.arange(n) % 10
        net = nn.Sequential(nn.Dense(784, 256), nn.ReLU(), nn.Dense(256, 128), nn.ReLU(), nn.Dense(128, 10), seed=0)
        fastnn.set_num_threads(2)  # each thread has a stack and a workspace
        trainer = fastnn.Trainer(net, optimizer=optim.Adam(1e-5))
        trainer.fit(X, y, epochs=2, batch_size=batch, validation_data=(X[:5000], y[:5000]), verbose=0)
        activations = batch * (784 + 256 + 128 + 10) * 4
        allowed = X.nbytes + y.nbytes + 8 * n + 5 * net.params.data.nbytes + 2 * activations + 8 * 2**20
        print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - after_import), allowed)
        """.replace("DTYPE", repr(dtype)),
        "native",
        data="",  # the memory of numpy.random would be counted
    )
    assert int(out[0]) <= int(out[1])
