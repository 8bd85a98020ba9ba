"""Estimators used in signal handlers, in other threads and after interrupts; a process for each backend."""

import os

import pytest

pytest.importorskip("sklearn")

from training_process import BACKENDS, run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX signals")

SETUP = """
import copy, pickle, warnings
import numpy.testing
from fastnn.sklearn import MLPClassifier, MLPRegressor
warnings.simplefilter("ignore")
storm = float(os.environ.get("FASTNN_STORM", 1))
rng = np.random.default_rng(0)
X = rng.normal(size=(400, 200)).astype(np.float32)
X[:, 3] = 0  # the weights of this feature never change, so that weights in another order are noticed
y = X[:, 0] - X[:, 1]
model = MLPRegressor(hidden_layer_sizes=(256, 256), alpha=0, random_state=0, max_iter=1).fit(X, y)
first = model.coefs_[0][3].copy()
pickle.loads(pickle.dumps(model)).predict(X[:3])

def is_whole(twin):
    np.testing.assert_array_equal(twin.coefs_[0][3], first)
    state = twin._optimizer
    assert state.t == state.schedule_step <= twin._training_steps
    assert not np.any(state.slots[0][0][3]) and not np.any(state.slots[1][0][3])
"""


@BACKENDS
def test_copies_from_another_thread_are_of_whole_steps(backend):
    """In an earlier version 60 of 62 copies had their weights in the order of panels."""
    run(
        """
        model.set_params(max_iter=10**6, warm_start=True, n_iter_no_change=10**6, batch_size=10)
        thread = threading.Thread(target=model.fit, args=(X, y), daemon=True)
        thread.start()
        steps = set()
        for _ in until(storm, lambda: len(steps) > 3):
            for copied in (copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))):
                twin = copied(model)
                is_whole(twin)
                steps.add(twin._training_steps)
                twin.predict(X[:3])
        assert len(steps) > 3
        os._exit(0)
        """,
        backend,
        SETUP,
    )


@BACKENDS
def test_signal_handlers_predict_pickle_and_raise(backend):
    run(
        """
        seen, limit = [], False
        class TimeLimit(Exception):
            pass
        def handler(number, frame):
            wanted = model.predict(X[:3])
            twin = pickle.loads(pickle.dumps(model))
            np.testing.assert_array_equal(twin.predict(X[:3]), wanted)
            is_whole(twin)
            seen.append(twin._training_steps)
            if limit and len(seen) % 3 == 0:
                raise TimeLimit
            signal.setitimer(signal.ITIMER_REAL, 0.01)
        signal.signal(signal.SIGALRM, handler)
        model.set_params(max_iter=30, warm_start=True, n_iter_no_change=10**6, batch_size=10)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        for _ in until(storm):
            model.fit(X, y)
            model.predict(X)
            model.partial_fit(X, y)
        limit, raised = True, 0
        for _ in until(storm, lambda: len(set(seen)) > 3 and raised > 1):
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            try:
                model.set_params(max_iter=1000)
                model.fit(X, y)
            except TimeLimit:
                raised += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert not model._model.net.training_claim.taken
            assert model._model.net.lock.holders == set()
            is_whole(copy.deepcopy(model))
        assert len(set(seen)) > 3 and raised > 1, (seen, raised)
        """,
        backend,
        SETUP,
    )
