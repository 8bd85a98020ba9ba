"""What calls cost is measured for the same work on both sides, and the command runs with what is installed."""

import functools
import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import fastnn
from bench.lib import call_cases, latency, peer_cases, small_kernels, written
from bench.lib.cases import copy_updated, make_arguments
from bench.lib.machine import ROOT
from bench.lib.nets import CALLED, PLAIN
from bench.lib.tables import calls as tables
from bench.peers import numpy_by_hand
from bench.peers.shared import Missing
from bench.tests.test_peers import is_installed
from fastnn import nn
from tests.specs import BY_NAME

MODULES = {"onnxruntime": "onnxruntime", "PyTorch": "torch", "scikit-learn": "sklearn"}

# ---- single calls ----


def test_percentiles():
    """1 to 1000: 500 of them are at most 500, 999 at most 999."""
    values = np.random.default_rng(0).permutation(np.arange(1, 1001)).tolist()
    assert latency.percentiles(values) == {"p50": 500, "p99": 990, "p99.9": 999, "max": 1000}
    assert latency.percentiles([7]) == dict.fromkeys(latency.SHARES, 7)
    assert latency.percentiles([1] * 98 + [5, 9]) == {"p50": 1, "p99": 5, "p99.9": 9, "max": 9}


def test_calls_are_timed_one_by_one():
    """By a clock that only the functions move: every second block is in the other order."""
    now, order = 0, []

    def call(name, nanoseconds):
        nonlocal now
        order.append(name)
        now += nanoseconds + 1_000_000 * (len(order) == 9)

    functions = {"a": lambda: call("a", 2_000), "b": lambda: call("b", 3_000)}
    seconds = latency.seconds_of_calls(functions, 2, 3, clock=lambda: now)
    assert order == [*"ab", *"bbbaaa", *"aaabbb"]
    assert seconds["b"] == dict.fromkeys(latency.SHARES, 3e-6)
    assert seconds["a"] == {"p50": 2e-6, "p99": 1.002e-3, "p99.9": 1.002e-3, "max": 1.002e-3}


# ---- predictions ----


@pytest.mark.parametrize("rows", call_cases.ROWS)
@pytest.mark.parametrize("config", CALLED, ids=lambda config: config.name)
def test_predictions(config, rows):
    """All that are installed are checked when they are made; those without have a reason."""
    missing, chosen = {}, {}
    functions = call_cases.prediction_functions(config, "predict", rows, missing, chosen)
    libraries = {name.partition(", ")[0] for name in functions} - {"native", "numpy", call_cases.ARITHMETIC}
    assert libraries == {name for name in ("onnxruntime", "PyTorch") if is_installed(MODULES[name])}
    assert set(missing) == {"onnxruntime", "PyTorch"} - libraries
    for function in functions.values():
        function()


@pytest.mark.parametrize("config", CALLED, ids=lambda config: config.name)
def test_numpy_writes_into_out(config):
    net, x = config.native("float32"), config.data("float32", 5)[0]
    out = np.full((5, config.sizes[-1]), np.nan, np.float32)
    (function,) = numpy_by_hand.make_calls(net, x, out).values()
    assert function() is out
    np.testing.assert_allclose(out, net.predict(x), rtol=1e-4, atol=1e-5)
    x[...] = 0  # as a call reads its input each time
    np.testing.assert_allclose(function(), net.predict(x), rtol=1e-4, atol=1e-5)


def test_a_peer_with_other_outputs_is_noticed(monkeypatch):
    def wrong(net, x, out):
        return {"wrong": lambda: net.predict(x) * 1.01}

    monkeypatch.setitem(call_cases.CALLS, "numpy", wrong)
    with pytest.raises(AssertionError, match="numpy, wrong, control"):
        call_cases.peer_calls(CALLED[0], 1, {}, {}, ["numpy"])


def test_a_call_that_keeps_its_outputs_is_noticed():
    net, x = CALLED[0].native("float32"), CALLED[0].data("float32", 1)[0]
    first = net.predict(-x)
    with pytest.raises(AssertionError, match="kept"):
        call_cases.check_calls("kept", lambda: first, net, x)


def test_the_arithmetic_is_that_of_all_rows():
    out = call_cases.arithmetic(PLAIN[0], 32, 4)()
    assert out.shape == (128, 2)
    np.testing.assert_array_equal(out, PLAIN[0].native("float32").predict(PLAIN[0].data("float32", 128)[0]))


# ---- steps ----


def test_a_loop_takes_fastnns_steps():
    assert peer_cases.check_losses(PLAIN[0], "own loop", call_cases.own_loop_steps) < 1e-5


def test_a_batch_takes_fastnns_step():
    assert peer_cases.check_losses(PLAIN[0], "train_on_batch", call_cases.train_on_batch_steps) < 1e-5


def test_what_an_older_fastnn_lacks_is_left_out(monkeypatch):
    monkeypatch.delattr(nn.Sequential, "predictor", raising=False)
    monkeypatch.delattr(fastnn.Trainer, "train_on_batch", raising=False)
    families = {case.family for case in call_cases.cases(True, {}, {}, {})}
    assert families - {"partial_fit"} == {"predict", "step", "kernel"}
    config = PLAIN[0]
    with pytest.raises(Missing, match="train_on_batch"):
        call_cases.train_on_batch_steps(config, config.native("float32"), *config.data("float32"), 1)


def test_each_kind_of_batch_is_trained_on(monkeypatch):
    trained, step = [], fastnn.Trainer.train_on_batch
    monkeypatch.setattr(
        fastnn.Trainer, "train_on_batch", lambda trainer, *batch: (trained.append(trainer), step(trainer, *batch))
    )
    for function in call_cases.batch_functions(PLAIN[0]).values():
        function()
    assert len({id(trainer) for trainer in trained}) == 7
    assert {trainer.step_count for trainer in trained} == {call_cases.BATCH_STEPS}


# ---- expressions with out= ----

# Parts of these expressions cannot be recorded: functions of `math`, and of np.linalg, which takes plain arrays.
NOT_RECORDED = {"gelu", "gelu_backward", "limit_norms"}


def small(name):
    spec = BY_NAME[name]
    return spec, make_arguments(spec, small_kernels.shape_of(spec), "float32")


def test_expressions_with_out():
    """Each computes what the expression does, which `with_out` checks, and leaves its arguments as they were."""
    refused = set()
    for case, (spec, shape) in small_kernels.KERNELS.items():
        arguments = make_arguments(spec, shape, "float32")
        before = {k: a.copy() for k, a in arguments.items() if isinstance(a, np.ndarray)}
        try:
            written.with_out(spec.numpy, arguments)
        except ValueError:
            refused.add(case.name)
        for name, array in before.items():
            np.testing.assert_array_equal(arguments[name], array)
    assert refused == NOT_RECORDED


def allocated(function):
    """Return the most bytes that a call holds."""
    function()
    tracemalloc.start()
    result = function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del result
    return peak


ONE_ARRAY = 4 * 64 * 64


@pytest.mark.parametrize("name", ["sigmoid", "tanh_backward", "softsign", "adam", "dense without bias"])
def test_expressions_with_out_allocate_nothing(name):
    spec, arguments = small(name)
    assert allocated(functools.partial(spec.numpy, **copy_updated(spec, arguments))) >= ONE_ARRAY
    assert allocated(written.with_out(spec.numpy, copy_updated(spec, arguments))) < ONE_ARRAY


@pytest.mark.parametrize("name", ["dense", "layer_norm", "batch_norm_backward"])
def test_broadcasting_allocates_one_buffer(name):
    """It is NumPy's own, of one array, with `out=` as well."""
    spec, arguments = small(name)
    assert allocated(functools.partial(spec.numpy, **arguments)) > 2 * ONE_ARRAY
    assert allocated(written.with_out(spec.numpy, arguments)) < 1.5 * ONE_ARRAY


def test_an_array_serves_again():
    arguments = {"x": np.ones((64, 64), np.float32)}
    operations, results, _ = written.recorded(lambda x: np.exp(-x) + np.exp(x) * 2, arguments)
    assert len(operations) == 5
    storage = written.stored(operations, results)
    assert len({id(array) for array in storage.values()}) == 2


def test_a_transposed_array_is_not_written_over():
    x = np.arange(16.0).reshape(4, 4)
    function = written.with_out(lambda x: np.exp(-x).T + np.exp(-x), {"x": x})
    np.testing.assert_array_equal(function(), np.exp(-x).T + np.exp(-x))
    function = written.with_out(lambda x: (y := x * 2) + y.T, {"x": x})
    np.testing.assert_array_equal(function(), 2 * x + 2 * x.T)


def test_an_expression_that_cannot_be_recorded():
    with pytest.raises(ValueError, match="recorded"):
        written.with_out(lambda x: np.asarray(x).sum(axis=0) + x[0], {"x": np.arange(9.0).reshape(3, 3)})


def test_updates_are_repeated():
    spec, arguments = small("sgd")
    by_hand, w = copy_updated(spec, arguments), arguments["w"]
    function = written.with_out(spec.numpy, arguments)
    for _ in range(3):
        function()
        spec.numpy(**by_hand)
    np.testing.assert_array_equal(w, by_hand["w"])


def test_a_call_has_its_first_arguments_by_position():
    def function(a, b=1, c=2, *, out=None, **more):
        return a, b, c, out, more

    assert written.call_of(function, {"a": 5, "out": 6, "b": 7})() == (5, 7, 2, 6, {})
    assert written.call_of(function, {"a": 5, "c": 6, "d": 7})() == (5, 1, 6, None, {"d": 7})


# ---- the command and its tables ----


def test_runs_with_what_is_installed(tmp_path):
    out = tmp_path / "calls.json"
    command = [sys.executable, "-m", "bench.run.calls", "--fast", str(out)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    for name in (name for name, module in MODULES.items() if not is_installed(module)):
        assert f"No {name}: not installed" in done.stdout
    by_family = {family: tables.of_family(results, family) for family in ("predict", "step", "kernel")}
    assert [case["shape"] for case in by_family["predict"]] == ["1 row", "32 rows"]
    assert {"own loop", "numpy"} <= set(by_family["step"][0]["ratios"])
    assert [case["name"] for case in by_family["kernel"]] == ["dense", "identity", "relu", "adam"]
    (tail,) = results["tails"]
    assert {"predict", "numpy"} <= set(tail["seconds"])
    assert all(0 < each["p50"] <= each["p99"] <= each["max"] for each in tail["seconds"].values())
    printed = tables.calls_text(results)
    for case in (*results["cases"], tail):
        assert f" {case['name']} " in printed


def a_result(ratio, commit="abc", **more):
    def case(family, name, **ratios):
        return {
            "family": family,
            "name": name,
            "shape": "1 row",
            "dtype": "float32",
            "rounds": 9,
            "seconds": {"native": 4e-6, "arithmetic": 1e-6, **{peer: 4e-6 * r for peer, r in ratios.items()}},
            "ratios": {peer: [r, r, r] for peer, r in ratios.items()},
        }

    machine = dict.fromkeys(("processor", "isa", "compiler", "python", "numpy", "blas", "date", "fastnn"), "1")
    kernels = [case("kernel", name, numpy=ratio) for name in ("relu", "identity")]
    return {
        "machine": {**machine, "threads": 1, "commit": commit, "libraries": {"onnxruntime": "1"}},
        "missing": {},
        "chosen": {"onnxruntime, bound, tiny, 1 row": "a", "onnxruntime, bound, mnist, 1 row": "b"},
        "cases": [case("predict", "tiny", numpy=ratio), case("predictor", "tiny", numpy=2 * ratio), *kernels],
        "tails": [{"name": "tiny", "calls": 9, "seconds": {"numpy": {"p50": 1e-6, "p99.9": 3e-6}}}],
        **more,
    }


def test_tables_of_predictions():
    text = tables.part_text(tables.PREDICTIONS, a_result(2.0))
    lines = text.splitlines()
    assert lines[2:4] == [
        "| predictor | tiny | 1 row | 4 | 1 | 4 (4 to 4) |",
        "| `net.predict` | tiny | 1 row | 4 | 1 | 2 (2 to 2) |",
    ]
    assert "onnxruntime, bound: by a or b." in lines
    assert "Medians of 9 to 9 interleaved pairs" in text


def test_tables_before_and_after():
    now, before = a_result(2.0, "new"), a_result(1.0, "old")
    text = tables.part_text(tables.PREDICTIONS, now, before)
    assert text.index("**Now**") < text.index("(new, ") < text.index("**Before**") < text.index("(old, ")
    before["cases"] = [case for case in before["cases"] if case["name"] != "identity"]
    assert tables.kernels_table(now, before).splitlines()[2:] == [
        "| relu | 1 row | 4 | 2 (2 to 2) | 1 (1 to 1) |",
        "| identity (a pure copy) | 1 row | 4 | 2 (2 to 2) | - |",
    ]


def test_slower_kernels_are_named_but_no_copies():
    assert tables.slower_text(a_result(0.9)).endswith("excepted: none.")
    assert tables.slower_text(a_result(0.85)).endswith("excepted: relu (0.85).")


def test_tails_are_in_microseconds():
    assert tables.tails_table(a_result(1.0)).splitlines() == [
        "| net |  | p50, µs | p99.9, µs |",
        "| --- | --- | --- | --- |",
        "| tiny | NumPy by hand | 1 | 3 |",
    ]
