"""Signal handlers and other threads during trainings and predictions: they see whole steps, and nothing deadlocks.

Each test runs a script in a new process on each backend, for some seconds; `FASTNN_STORM=60` makes it a minute.
"""

import os

import pytest
from training_process import BACKENDS, run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX signals")

SETUP = """
import copy, pickle, traceback
import numpy.testing
storm = float(os.environ.get("FASTNN_STORM", 1))
rng = np.random.default_rng(0)
X, y = rng.normal(size=(200, 70)).astype(np.float32), rng.integers(0, 5, 200)
net = nn.Sequential(  # the first weight is large enough to be in panels while steps run
    nn.Dense(70, 300), nn.BatchNorm(300), nn.ReLU(), nn.Dense(300, 5), seed=0
)
trainer = fastnn.Trainer(net)
x = X[:20]

def by_hand(state):
    h = x @ state["0.weight"].T + state["0.bias"]
    h = (h - state["1.running_mean"]) / np.sqrt(state["1.running_var"] + 1e-5) * state["1.weight"] + state["1.bias"]
    return np.maximum(h, 0) @ state["3.weight"].T + state["3.bias"]

def every(seconds, handler):
    # repeatedly, with a pause of `seconds` between the end of one call and the next
    def handle(number, frame):
        try:
            handler(number, frame)
        finally:
            if signal.getsignal(number) is handle:
                signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, seconds)

def no_more():
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)

# Everything that is imported or made at first use exists from here on.
warm = fastnn.Trainer(net.copy())
warm.fit(X[:8], y[:8], epochs=2, batch_size=4, validation_data=(X, y), verbose=0)
pickle.loads(pickle.dumps(warm)).copy().net.predict(x)

def is_free():
    assert not net.training_claim.taken
    assert net.lock.holders == set()
"""

READERS = """
readers = {
    "predict": lambda: net.predict(x),
    "state_dict": lambda: by_hand(net.state_dict()),
    "copy": lambda: net.copy().predict(x),
    "pickle": lambda: pickle.loads(pickle.dumps(net)).predict(x),
    "deepcopy": lambda: copy.deepcopy(net).predict(x),
    "trainer": lambda: trainer.copy().net.predict(x),
    "trainer's pickle": lambda: pickle.loads(pickle.dumps(trainer)).net.predict(x),
    "views": lambda: by_hand({
        f"{i}.{name}": getattr(net.layers[i], name).T
        for i, names in ((0, "weight bias"), (1, "weight bias running_mean running_var"), (3, "weight bias"))
        for name in names.split()
    }),
    "parameters": lambda: by_hand(
        {name: array.T for name, array in (net.parameters() | net.state.views()).items()}
    ),
}
def agree():
    # All readers return the same net, and all counts the same steps.
    wanted = net.predict(x)
    for name, reader in readers.items():
        np.testing.assert_allclose(reader(), wanted, rtol=1e-3, atol=1e-3, err_msg=name)
    state, twin, again = trainer.state_dict(), trainer.copy(), pickle.loads(pickle.dumps(trainer))
    assert state["step_count"] == state["training_steps"]
    assert state["epoch"] == len(state["history"])
    for other in (twin, again):
        assert (other.step_count, other.epoch) == (state["step_count"], state["epoch"])
        for key, slots in other.state_dict()["slots"].items():
            for name, slot in slots.items():
                np.testing.assert_array_equal(slot, state["slots"][key][name])
"""


@BACKENDS
def test_a_handler_predicts_while_the_main_thread_predicts(backend):
    run(
        """
        wanted, seen = net.predict(x), []
        def handler(number, frame):
            np.testing.assert_array_equal(net.predict(x), wanted)
            seen.append(number)
        every(0.001, handler)
        for _ in until(storm, lambda: len(seen) > 20):
            net.predict(X)
        no_more()
        assert len(seen) > 20
        is_free()
        """,
        backend,
        SETUP,
    )


@BACKENDS
def test_a_handler_predicts_while_others_wait_to_write(backend):
    """The main thread reads, and another waits to write. Later readers queue behind it, but not the handler."""
    run(
        """
        state, seen = net.state_dict(), []
        def enough():
            return len(seen) > 10
        def write():
            for _ in until(storm, enough):
                net.load_state_dict(state)
                seen.append(0)
        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        every(0.002, lambda *_: net.predict(x))
        for _ in until(storm, enough):
            net.predict(np.repeat(X, 10, axis=0))
            net.load_state_dict(state)
        no_more()
        for thread in threads:
            thread.join()
        assert len(seen) > 10
        is_free()
        """,
        backend,
        SETUP,
    )


@BACKENDS
def test_a_handler_saves_during_a_fit(backend):
    run(
        """
        seen = []
        def handler(number, frame):
            agree()
            if not net.training_claim.taken:  # between two fits
                return
            state = net.state_dict()
            for change in (
                lambda: net.load_state_dict(state),
                lambda: trainer.fit(X, y),
                lambda: net.forward(X, training=True),
                lambda: trainer.step(),
                lambda: setattr(net, "scaler", None),
                lambda: setattr(net, "output_scaler", None),
                lambda: setattr(net, "training_steps", 0),
                lambda: setattr(trainer, "optimizer", optim.SGD(0.1)),
                lambda: setattr(trainer, "loss", "log_loss"),
                lambda: setattr(trainer, "average", "ema"),
                lambda: trainer.load_state_dict(trainer.state_dict()),
                lambda: trainer.reset_optimizer(),
            ):
                try:
                    change()
                except RuntimeError as error:
                    assert "the net is being trained" in str(error), error
                else:
                    raise SystemExit("it was not refused")
            seen.append(number)
        for number in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, handler)
        every(0.05, handler)
        before = [signal.getsignal(number) for number in signal.valid_signals()]
        stop = threading.Event()
        def others():
            while not stop.wait(0.2):
                os.kill(os.getpid(), signal.SIGUSR1)
                os.kill(os.getpid(), signal.SIGTERM)
        thread = threading.Thread(target=others)
        thread.start()
        quiet = fastnn.Trainer(net.copy())
        epochs = 0
        for _ in until(storm, lambda: len(set(seen)) == 3):
            trainer.fit(X, y, epochs=10, batch_size=5, verbose=0)
            epochs += 10
        assert [signal.getsignal(number) for number in signal.valid_signals()] == before
        no_more()
        stop.set()
        thread.join()
        assert {signal.SIGALRM, signal.SIGUSR1, signal.SIGTERM} == set(seen)
        is_free()
        quiet.fit(X, y, epochs=epochs, batch_size=5, verbose=0)
        assert np.array_equal(quiet.net.params.data, net.params.data)
        assert trainer.step_count == quiet.step_count
        """,
        backend,
        SETUP + READERS,
    )


@BACKENDS
def test_a_handler_that_raises_leaves_whole_steps_counted(backend):
    run(
        """
        class TimeLimit(Exception):
            pass
        def handler(number, frame):
            raise TimeLimit
        signal.signal(signal.SIGALRM, handler)
        for attempt in range(int(20 * storm)):
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0005, 0.03))
            try:
                trainer.fit(X, y, epochs=100000, batch_size=5, verbose=0)
            except TimeLimit:
                pass
            is_free()
            agree()
        """,
        backend,
        SETUP + READERS,
    )


@BACKENDS
def test_interrupts_at_any_place(backend):
    """After Ctrl-C during predictions, saves, loads, steps and fits, no lock is held and no step is half done."""
    run(
        """
        big, ybig = np.repeat(X, 3, axis=0), np.repeat(y, 3)
        state = net.state_dict()
        def step():
            net.backward(np.ones_like(net.forward(x, training=True)))
            trainer.step()
        calls = [
            lambda: net.predict(x[:1]),
            lambda: net.state_dict(),
            step,
            lambda: trainer.fit(X, y, epochs=1, batch_size=4, verbose=0),
            lambda: pickle.dumps(trainer),
            lambda: trainer.fit(big, ybig, epochs=1, batch_size=4, verbose=0),
            lambda: net.load_state_dict(state),
            lambda: net.copy(),
            lambda: fastnn.Trainer(net.copy()).fit(X[:8], y[:8], epochs=1, batch_size=4, verbose=0),
        ]
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        at, interrupts = 0, 0
        for _ in until(2 * storm, lambda: interrupts > 20):
            try:
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 3e-3))
                began = time.monotonic()
                while True:
                    calls[at % len(calls)]()
                    at += 1
                    assert time.monotonic() - began < 60, "an interrupt was lost"
            except KeyboardInterrupt:
                interrupts += 1
                at += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            is_free()
            for views in (net.parameters(), {"0.weight": net.layers[0].weight}):
                saved = net.state_dict()
                assert all(np.array_equal(array.T, saved[name]) for name, array in views.items())
        assert interrupts > 20
        trainer.fit(X, y, epochs=1, verbose=0)
        """,
        backend,
        SETUP,
    )


@BACKENDS
def test_a_wait_for_the_lock_is_interrupted(backend):
    """Ctrl-C interrupts the wait at once while another thread holds the lock."""
    run(
        """
        for wanted in (lambda: net.predict(x), lambda: trainer.fit(X, y, epochs=1, verbose=0), net.state_dict,
                       lambda: net.load_state_dict(state), trainer.copy):
            state, locked, go = net.state_dict(), threading.Event(), threading.Event()
            def hold():
                with net.lock.writing():
                    locked.set()
                    go.wait(20)
            thread = threading.Thread(target=hold)
            thread.start()
            locked.wait()
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            began = time.monotonic()
            try:
                wanted()
            except KeyboardInterrupt:
                answered = time.monotonic() - began
            go.set()
            thread.join()
            assert answered < 2, answered
            is_free()
            wanted()
        """,
        backend,
        SETUP,
    )


@BACKENDS
def test_copies_from_another_thread_are_of_whole_steps(backend):
    run(
        """
        settings = {"epochs": 10**6, "batch_size": 4, "verbose": 0}
        thread = threading.Thread(target=trainer.fit, args=(X, y), kwargs=settings, daemon=True)
        thread.start()
        wholes = 0
        for _ in until(storm, lambda: wholes > 5):
            for twin in (trainer.copy(), pickle.loads(pickle.dumps(trainer)), copy.deepcopy(trainer)):
                assert twin.step_count == twin.net.training_steps
                state = twin.net.state_dict()
                np.testing.assert_allclose(by_hand(state), twin.net.predict(x), rtol=1e-3, atol=1e-3)
                m, v = twin.state_dict()["slots"].values()
                # |m| <= c * sqrt(v) holds for each entry; it fails if the entries of m and v are in different orders
                count = twin.step_count
                for name in m:
                    assert (np.abs(m[name]) <= 100 * np.sqrt(v[name]) + 1e-6).all(), name
                    assert not ((v[name] == 0) & (np.abs(m[name]) > 1e-6)).any(), name
                wholes += 1
        assert wholes > 5
        trainer.stop()
        thread.join()
        """,
        backend,
        SETUP,
    )


@BACKENDS
def test_averages_that_handlers_and_other_threads_see_are_of_whole_steps(backend):
    run(
        """
        fastnn.training._steps.SLICE_SECONDS = 0.0  # after every step, others get the lock
        settings = {"epochs": 4, "batch_size": 5, "verbose": 0, "validation_data": (X, y)}
        def new():
            return fastnn.Trainer(net.copy(), average=optim.EMA(0.75))
        known = {}
        class Keep(fastnn.Callback):
            observes = 1
            def on_batch_end(self, trainer, logs):
                keep(trainer.averaged)
        def keep(averaged):
            known[averaged.training_steps] = averaged.params.data.tobytes()
        def check(averaged):
            assert known[averaged.training_steps] == averaged.params.data.tobytes(), averaged.training_steps
            seen.add(averaged.training_steps)
            return averaged
        first, seen = new(), set()
        keep(first.averaged)
        first.fit(X, y, callbacks=[Keep()], **settings)
        def look(*_):
            check(trainer.averaged)
            check(trainer.copy().averaged)
            check(pickle.loads(pickle.dumps(trainer)).averaged)
            assert np.isfinite(trainer.predict(x)).all()
            assert np.isfinite(trainer.evaluate(X, y)["loss"])
        stop = threading.Event()
        def others():
            while not stop.wait(0.001):
                look()
        trainer = new()
        thread = threading.Thread(target=others)
        thread.start()
        every(0.003, look)
        for _ in until(storm, lambda: len(seen) > 5):
            trainer = new()
            trainer.fit(X, y, **settings)
            assert trainer.history["val_loss"] == first.history["val_loss"]
            for _ in range(20):  # the handler interrupts predictions of the net that evaluations share
                assert np.array_equal(trainer.predict(X), first.predict(X))
        no_more()
        stop.set()
        thread.join()
        assert len(seen) > 5, seen
        is_free()
        """,
        backend,
        SETUP,
    )


@BACKENDS
def test_a_child_trains_a_net_that_was_being_trained(backend):
    run(
        """
        # A child that was forked while another thread ran a product of NumPy's OpenBLAS can hang in its next product,
        # with or without fastnn. So the reference's products are computed without OpenBLAS here.
        from fastnn.kernels import _dense_ref
        class WithoutBlas:
            def __getattr__(self, name):
                return getattr(np, name)
            def matmul(self, a, b, out):
                np.einsum("ij,jk->ik", a, b, out=out)
        _dense_ref.np = WithoutBlas()

        settings = {"epochs": 10**6, "batch_size": 4, "verbose": 0}
        thread = threading.Thread(target=trainer.fit, args=(X, y), kwargs=settings, daemon=True)
        thread.start()
        for attempt in range(10):
            while trainer.step_count <= 20 * attempt:
                time.sleep(0.001)
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                status = 1
                try:
                    trainer.fit(X, y, epochs=1, verbose=0)
                    net.load_state_dict(net.state_dict())
                    net.forward(X, training=True)
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(status)
            status = os.waitpid(child, 0)[1]
            assert status == 0, (attempt, status)
        trainer.stop()
        thread.join()
        """,
        backend,
        SETUP,
    )


@BACKENDS
def test_custom_functions_and_handlers(backend):
    """While Python functions run in a step, handlers wait for the end of the step."""
    run(
        """
        def tanh(x):
            time.sleep(0.0005)
            return np.tanh(x)
        custom = nn.CustomActivation(tanh, lambda dy, x, y: dy * (1 - y * y))
        net = nn.Sequential(nn.Dense(70, 8), nn.BatchNorm(8), custom, nn.Dense(8, 5), seed=0)
        trainer, seen = fastnn.Trainer(net), []
        def handler(number, frame):
            state = net.state_dict()
            assert state["1.num_batches_tracked"] == trainer.step_count
            twin = nn.Sequential(nn.Dense(70, 8), nn.BatchNorm(8), nn.Tanh(), nn.Dense(8, 5), seed=0)
            twin.load_state_dict(state)
            np.testing.assert_allclose(net.predict(x), twin.predict(x), rtol=1e-4, atol=1e-5)
            seen.append(number)
        every(0.003, handler)
        for _ in until(storm, lambda: len(seen) > 20):
            trainer.fit(X, y, epochs=2, batch_size=20, verbose=0)
            net.predict(X)
        no_more()
        assert len(seen) > 20
        assert net.lock.holders == set() and not net.training_claim.taken
        """,
        backend,
        SETUP,
    )
