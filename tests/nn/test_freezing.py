"""Frozen parameters of a net: which gradients and programs are left, and where the state of the net goes."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import nn
from tests.nets import NETS, OUTPUTS, WIDTH, net_of, random_net


def with_embeddings(dtype="float64", seed=0):
    """Return a net with two tables, one of them with sparse updates, beside numbers."""
    inputs = nn.Parallel(
        nn.Columns([0, 1, 2]), nn.Columns([3, 4], nn.Embeddings([3, 4], [2, 3])),
        nn.Columns([5], nn.Embedding(5, 2, sparse=True)),
    )  # fmt: skip
    return nn.Sequential(inputs, nn.Dense(10, 5), "tanh", nn.Dense(5, OUTPUTS), dtype=dtype, seed=seed)


MAKERS = {name: lambda name=name: net_of(name) for name in NETS}
MAKERS |= {f"random {seed}": lambda seed=seed: random_net(seed) for seed in range(6)}
MAKERS["embeddings of categories"] = with_embeddings


def inputs(net, rows=7, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, WIDTH))
    for each in net.id_columns:
        x[:, each.column] = rng.integers(0, each.size, rows)
    return x


def changed(net):
    """Move values away from where layers begin: a scale of 1 or a bias of 0 would hide errors."""
    rng = np.random.default_rng(1)
    for array in net.parameters().values():
        array[...] += 0.1 * rng.normal(size=array.shape)
    for layer in net.leaves:
        if isinstance(layer, nn.BatchNorm):
            layer.running_mean[...] = rng.normal(size=layer.in_features)
            layer.running_var[...] = rng.uniform(0.5, 2, layer.in_features)
    return net


def gradients(net, input_grad=False):
    """Return the output, the gradients by name and that of the input, all of one step."""
    net.training_steps = 3
    x = inputs(net)
    z = net.forward(x, training=True, input_grad=input_grad)
    dx = net.backward(np.cos(np.arange(z.size)).reshape(z.shape))
    return z, {name: array.copy() for name, array in net.gradients().items()}, dx


def batch_norms(net):
    return [layer for layer in net.leaves if isinstance(layer, nn.BatchNorm)]


# ---- gradients ----


def choices(net, rng):
    """Return what to freeze: each parameter alone, each layer, and some at random; of large nets the last alone.

    Batch norms are frozen in part only: their output would change.
    """
    names, norms = list(net.params.layout), {layer.path for layer in batch_norms(net)}
    biases = {f"{path}.bias" for path in norms}
    found = [[name for name in names if rng.integers(2) and name not in biases] for _ in range(4)]
    if len(names) < 20:
        found += [[name] for name in names]
        found += [[f"{each.path}.*"] for each in net.leaves if each.parameters() and each.path not in norms]
    return found


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", MAKERS)
def test_the_other_gradients_keep_their_bits(impl, name):
    net = changed(MAKERS[name]())
    want, want_dx = gradients(net), gradients(net, input_grad=True)[2]
    for number, patterns in enumerate(choices(net, np.random.default_rng(2))):
        net.unfreeze()
        net.freeze(patterns)
        input_grad = number % 2 == 0
        z, have, dx = gradients(net, input_grad)
        np.testing.assert_array_equal(z, want[0])
        for each, array in have.items():
            np.testing.assert_array_equal(array, 0 if each in net.frozen else want[1][each], str(patterns))
        np.testing.assert_array_equal(dx, want_dx if input_grad else None)


@pytest.mark.parametrize("name", MAKERS)
def test_all_frozen(impl, name):
    net = changed(MAKERS[name]())
    want = gradients(net, input_grad=True)[2] if not batch_norms(net) else None
    net.freeze()
    program = net.training_program()
    assert program.sections["backward"] == ()
    assert not program.has_batch_statistics
    _, have, dx = gradients(net, input_grad=True)
    assert not any(array.any() for array in have.values())
    if want is not None:
        np.testing.assert_array_equal(dx, want)


NORMS = {
    "before a dense layer": lambda: [nn.Dense(6, 5), nn.BatchNorm(5), nn.Dense(5, 3)],
    "first": lambda: [nn.BatchNorm(6), nn.Dense(6, 3)],
    "last": lambda: [nn.Dense(6, 3), nn.BatchNorm(3)],
    "activations": lambda: [
        nn.Dense(6, 5), nn.BatchNorm(5), "tanh", nn.Dense(5, 5), nn.BatchNorm(5), "gelu", nn.Dropout(0.3),
        nn.Dense(5, 5), nn.BatchNorm(5), "relu", nn.Dropout(0.3), nn.Dense(5, 3),
    ],
    "cumulative": lambda: [nn.Dense(6, 5), nn.BatchNorm(5, momentum=None, eps=0.1), "silu", nn.Dense(5, 3)],
    "a block": lambda: [
        nn.Dense(6, 5), nn.Residual(nn.BatchNorm(5), "tanh", nn.Dense(5, 5), nn.BatchNorm(5)), "softplus",
        nn.Parallel(nn.BatchNorm(5), "identity", join="multiply"), nn.Dense(5, 3),
    ],
}  # fmt: skip


@pytest.mark.sampled(4)
@pytest.mark.parametrize("patterns", [["*"], ["0.*"], [], ["*.weight"]], ids=str)
@pytest.mark.parametrize("layers", NORMS)
def test_gradients_through_frozen_batch_norms(impl, layers, patterns):
    """Finite differences; all batch norms are frozen, other parameters by the patterns."""
    net = changed(nn.Sequential(*NORMS[layers](), dtype="float64", seed=4))
    net.freeze([f"{norm.path}.*" for norm in batch_norms(net)], *patterns)
    report = fastnn.check_gradients(net, inputs(net), [0, 1, 2, 0, 1, 2, 2])
    assert report.ok, f"\n{report}"
    trained = [each for each in net.params.layout if each not in net.frozen]
    assert [block.name for block in report.blocks] == ["input", *trained]
    assert report.frozen == net.frozen
    assert str(report).endswith(f"left out, as they are frozen: {', '.join(net.frozen)}")


@pytest.mark.parametrize("layers", NORMS)
def test_frozen_batch_norms_are_in_evaluation_mode(impl, layers):
    net = changed(nn.Sequential(*NORMS[layers](), dtype="float64", seed=4))
    net.freeze(*(f"{norm.path}.*" for norm in batch_norms(net)))
    before = net.state.data.copy()
    assert not net.uses_batch_statistics
    x = inputs(net)
    z = net.forward(x, training=True)
    np.testing.assert_array_equal(net.state.data, before)
    counts = {key: int(array) for key, array in net.state_dict().items() if key.endswith("num_batches_tracked")}
    assert counts == {f"{norm.path}.num_batches_tracked": norm.momentum is not None for norm in batch_norms(net)}
    assert net.forward(x[:1], training=True).shape == (1, OUTPUTS)  # one row has no statistics, and needs none
    if not any(isinstance(layer, nn.Dropout) for layer in net.leaves):
        np.testing.assert_allclose(z, net.predict(x), rtol=1e-13, atol=1e-13)
    net.unfreeze("*.bias")  # in part: the statistics of the batch
    assert net.uses_batch_statistics
    net.forward(x, training=True)
    assert (net.state.data != before).any()


def test_a_batch_norm_of_ones_own_may_go_on(impl):
    """A layer decides what it emits: here the statistics of the batch, whose gradients nobody needs."""

    class Moving(nn.BatchNorm):
        def keeps_statistics(self, frozen):
            return False

    net = changed(nn.Sequential(nn.Dense(6, 5), Moving(5), "tanh", nn.Dense(5, 3), dtype="float64", seed=4))
    want = gradients(net)[1]
    net.freeze("1.*")
    assert net.uses_batch_statistics
    have = gradients(net)[1]
    for name, array in have.items():
        np.testing.assert_array_equal(array, 0 if name in net.frozen else want[name])


@pytest.mark.parametrize("name", ["batch norm", "layer norm", "embeddings of outputs"])
def test_both_executors_compute_the_same(native, name):
    net = changed(MAKERS[name]())
    for layer in [each for each in net.leaves if each.parameters()]:
        net.unfreeze()
        net.freeze(f"{layer.path}.*")
        z, have, _ = gradients(net)
        with fastnn.backend("reference"):
            want = gradients(net)
        np.testing.assert_allclose(z, want[0], rtol=1e-12, atol=1e-12)
        for each, array in have.items():
            np.testing.assert_allclose(array, want[1][each], rtol=1e-10, atol=1e-12)


# ---- programs ----


def deep():
    return nn.Sequential(
        nn.Dense(4, 5), nn.ReLU(), nn.Dense(5, 5), nn.BatchNorm(5), nn.Tanh(), nn.Dense(5, 5), nn.LayerNorm(5),
        nn.PReLU(), nn.Dense(5, 3), seed=0,
    )  # fmt: skip


LAST = ["dense_grad_input", "dense_grad_weight"]
PROGRAMS = {
    "nothing": ([], [
        *LAST, "prelu_backward", "layer_norm_backward", *LAST, "batch_norm_backward", *LAST, "dense_grad_weight",
    ]),
    "the first layer": (["0.*"], [
        *LAST, "prelu_backward", "layer_norm_backward", *LAST, "batch_norm_backward", "dense_grad_weight",
    ]),
    "the second layer": (["2.*"], [
        *LAST, "prelu_backward", "layer_norm_backward", *LAST, "batch_norm_backward", "dense_grad_input",
        "dense_grad_weight",
    ]),
    "the batch norm": (["3.*"], [
        *LAST, "prelu_backward", "layer_norm_backward", *LAST, "affine_backward", *LAST, "dense_grad_weight",
    ]),
    "up to the batch norm": (["[0-3].*"], [*LAST, "prelu_backward", "layer_norm_backward", "dense_grad_weight"]),
    "up to the layer norm": (["[0-6].*"], [*LAST, "prelu_backward"]),
    "all but the last": (["[0-7].*"], ["dense_grad_weight"]),
    "all but the last bias": (["[0-7].*", "8.weight"], ["dense_grad_bias"]),
    "all but the last weight": (["[0-7].*", "8.bias"], ["dense_grad_weight"]),
    "the last": (["8.*"], [
        "dense_grad_input", "prelu_backward", "layer_norm_backward", *LAST, "batch_norm_backward", *LAST,
        "dense_grad_weight",
    ]),
    "weights": (["*.weight"], [
        "dense_grad_input", "dense_grad_bias", "prelu_backward", "layer_norm_backward", "dense_grad_input",
        "dense_grad_bias", "batch_norm_backward", "dense_grad_input", "dense_grad_bias", "dense_grad_bias",
    ]),
    "all": (["*"], []),
}  # fmt: skip


@pytest.mark.parametrize("case", PROGRAMS)
def test_what_is_left_of_the_backward_pass(case):
    patterns, want = PROGRAMS[case]
    net = deep()
    net.freeze(patterns)
    program = net.training_program(loss="cross_entropy", target="labels", optimizer="adam")
    backward = program.sections["backward"]
    assert [op.kind for op in backward if op.kind != "epilogue_backward"] == want
    updated = [name for op in backward for name in op.updatable]
    assert sorted(updated) == sorted(name for name in net.params.layout if name not in net.frozen)
    named = {name.partition(":")[2] for op in backward for name in op.buffers.values() if name.startswith("grad:")}
    assert named == set(updated)
    assert all(op.attrs["update"] == "adam" for op in backward if op.updatable)
    assert not any(op.attrs.get("update") for op in backward if not op.updatable)
    assert program.has_batch_statistics is (not net.params.frozen.issuperset(("3.weight", "3.bias")))


def test_tables_and_frequencies():
    net = with_embeddings()
    net.freeze("0.1.*", "0.2.*")
    assert "embedding_grad" not in {op.kind for op in net.training_program().sections["backward"]}
    net.unfreeze("0.1.0.1.*")
    grads = [op for op in net.training_program().sections["backward"] if op.kind == "embedding_grad"]
    assert [op.buffers["dw"] for op in grads] == ["grad:0.1.0.1.weight"]
    net = nn.Sequential(nn.Periodic(2, 3, dim=2), nn.Dense(4, 1), seed=0)
    net.freeze("0.frequencies")
    kinds = [op.kind for op in net.training_program().sections["backward"]]
    assert "periodic_grad_frequencies" not in kinds
    assert "periodic_grad_input" in [op.kind for op in net.training_program(input_grad=True).sections["backward"]]


def test_an_affine_op_that_is_trained_is_refused():
    class Affine(nn.BatchNorm):
        def emit(self, builder, x):
            y = builder.rows(self.in_features)
            roles = self.roles(gamma="weight", beta="bias", mean="running_mean", var="running_var")
            builder.op("affine", {"x": x, **roles, "y": y})
            return y

    net = nn.Sequential(nn.Dense(2, 3), Affine(3), nn.Dense(3, 1), seed=0)
    with pytest.raises(
        ValueError, match=r"^op 'affine' must have frozen parameters in .*, got 1\.bias, 1\.weight: emit"
    ):
        net.training_program()
    net.freeze("1.*")
    assert [op.kind for op in net.training_program().sections["backward"]][2] == "affine_backward"


# ---- the state ----


def names(net):
    return list(net.params.layout)


def test_patterns():
    net = deep()
    assert net.frozen == ()
    for patterns, want in (
        (["0.*"], names(net)[:2]),
        (["*.bias", "0.weight"], ["0.weight", *[each for each in names(net) if each.endswith("bias")]]),
        ([["2.weight", "2.bias"]], ["2.weight", "2.bias"]),
        ([("2.weight",), "2.bias"], ["2.weight", "2.bias"]),
        ([iter(["[02].b*"])], ["0.bias", "2.bias"]),
        ([[]], []),
        (["*"], names(net)),
        ([], names(net)),
    ):
        net.unfreeze()
        assert net.freeze(*patterns) is None
        assert net.frozen == tuple(each for each in names(net) if each in want)
    assert net.unfreeze("*.bias", "8.*") is None
    assert net.frozen == tuple(each for each in names(net) if not each.endswith("bias") and each[0] != "8")
    net.unfreeze("8.*")  # harmless, as nothing of it is frozen
    net.freeze("0.*")
    assert {"0.bias", "2.weight"} < set(net.frozen)  # what was frozen stays so
    net.unfreeze()
    net.unfreeze()
    assert net.frozen == ()
    only_activations = nn.Sequential(nn.Columns([0], in_features=2), "tanh")
    only_activations.freeze()
    assert only_activations.frozen == ()


FIRST = r"pattern must match a name of the parameters 0\.weight, 0\.bias, 1\.0\.weight, 1\.0\.bias, got "
BAD = {
    "a number": (lambda net: [0], TypeError, r'^pattern must be a string, got 0: write net.freeze\("0\.\*"\)$'),
    "a number from the end": (lambda net: [-1], TypeError, r'^.*, got -1: write net.freeze\("1\.\*"\)$'),
    "a number that is no layer": (lambda net: [7], TypeError, r'^.*, got 7: write net.freeze\("0\.\*"\)$'),
    "a layer": (lambda net: [net[1][0]], TypeError, r'^.* got Dense\(2, 2\): write net.freeze\("1\.0\.\*"\)$'),
    "a layer of no net": (lambda net: [nn.Dense(1, 1)], TypeError, r'^.*: write net.freeze\("0\.\*"\)$'),
    "none": (lambda net: [None], TypeError, r"^pattern must be a string, got None"),
    "bytes": (lambda net: [b"0.*"], TypeError, r"^pattern must be a string, got b'0.\*'"),
    "one of several": (lambda net: [["0.*", 1]], TypeError, r'^.*, got 1: write net.freeze\("1\.\*"\)$'),
    "an index": (lambda net: ["0"], ValueError, rf"^{FIRST}'0': write net.freeze\(\"0\.\*\"\)$"),
    "a container": (lambda net: ["1"], ValueError, rf"^{FIRST}'1': write net.freeze\(\"1\.\*\"\)$"),
    "a kind": (lambda net: ["bias"], ValueError, rf"^{FIRST}'bias': write net.freeze\(\"\*\.bias\"\)$"),
    "another name": (lambda net: ["0.*", "2.*"], ValueError, rf"^{FIRST}'2\.\*'$"),
    "a class of layers": (lambda net: ["Dense*"], ValueError, rf'^{FIRST}.*: write net.freeze\("0\.\*", "1\.0\.\*"\)$'),
    "a misspelt name": (lambda net: ["1.0.weigh"], ValueError, rf"^{FIRST}.*: did you mean '1\.0\.weight'\?$"),
    "a misspelt kind": (lambda net: ["*bia"], ValueError, rf"^{FIRST}'\*bia': did you mean '\*\.bias'\?$"),
    "a bool": (lambda net: [True], TypeError, r"^.*, got True: write net\.freeze\(\) or net\.unfreeze\(\), for all"),
    "nothing": (lambda net: [""], ValueError, rf"^{FIRST}''$"),
    "running statistics": (lambda net: ["*.running_mean"], ValueError, FIRST),
    "a range of numbers": (
        lambda net: ["0.*", "[0-11].*"], ValueError,
        r"""^pattern must have one digit after "-".*0-11.+ net.freeze\(\*\(f"{i}\.\*" for i in range\(12\)\)\)$""",
    ),
    "a range that begins later": (
        lambda net: ["1.[10-12].bias"], ValueError, r'net.freeze\(\*\(f"1\.{i}\.bias" for i in range\(10, 13\)\)\)$',
    ),
    "without parameters": (lambda net: ["*"], ValueError, r"^pattern must match .* \(there are none\), got '\*'$"),
}  # fmt: skip


@pytest.mark.parametrize("method", ["freeze", "unfreeze"])
@pytest.mark.parametrize("case", BAD)
def test_bad_patterns_change_nothing(case, method):
    give, error, message = BAD[case]
    net = nn.Sequential(nn.Dense(2, 2), nn.Residual(nn.Dense(2, 2)), seed=0)
    net.freeze("1.0.bias")
    if case == "without parameters":
        net = nn.Sequential("relu")
    before = net.frozen
    with pytest.raises(error, match=message.replace("net.freeze", f"net.{method}")):
        getattr(net, method)(*give(net))
    assert net.frozen == before


def test_it_cannot_be_set():
    net = deep()
    with pytest.raises(
        AttributeError, match=r'^Sequential.frozen is read-only: write net.freeze\("0\.\*"\) or net.unf'
    ):
        net.frozen = ("0.weight",)
    with pytest.raises(AttributeError, match=r'^Dense has no setting frozen: .* write net.freeze\("2\.\*"\)$'):
        net[2].frozen = True
    for name in ("trainable", "requires_grad_"):
        with pytest.raises(AttributeError, match=r'write net.freeze\("0\.\*"\) to freeze layer 0'):
            getattr(net, name)


COPIES = {
    "copy": lambda net: net.copy(),
    "astype": lambda net: net.astype("float64"),
    "copy.deepcopy": copy.deepcopy,
    "copy.copy": copy.copy,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "a slice of all": lambda net: net[:],
    "its layers": lambda net: nn.Sequential(*net, seed=9),
    "the net as a part": lambda net: nn.Sequential(*nn.Sequential(net, seed=1)[0], seed=9),
    "a trainer's": lambda net: fastnn.Trainer(net).copy().net,
    "a trainer's pickle": lambda net: pickle.loads(pickle.dumps(fastnn.Trainer(net))).net,
    "an ensemble's": lambda net: fastnn.Ensemble([net]).members[0].copy(),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_have_it(how):
    net = deep()
    net.freeze("0.*", "3.weight", "8.bias")
    twin = COPIES[how](net)
    assert twin.frozen == net.frozen == ("0.weight", "0.bias", "3.weight", "8.bias")
    twin.unfreeze("0.*")
    net.freeze("2.*")
    assert twin.frozen == ("3.weight", "8.bias")  # nothing is shared
    assert net.frozen == ("0.weight", "0.bias", "2.weight", "2.bias", "3.weight", "8.bias")


def test_what_is_a_net_of_its_own():
    """Freezing it does not freeze the net that it came from."""
    net = deep()
    trainer = fastnn.Trainer(net, average="EMA")
    for other in (net[:3], trainer.averaged):
        other.freeze("0.*")
        assert other.frozen == ("0.weight", "0.bias")
        assert net.frozen == trainer.averaged.frozen == ()


def test_layers_take_it_to_other_places():
    net = nn.Sequential(nn.Dense(2, 3), "relu", nn.Dense(3, 3), nn.Residual(nn.BatchNorm(3), nn.Dense(3, 3)))  # no seed
    net.freeze("2.weight", "3.*")
    assert net[2:].frozen == ("0.weight", "1.0.weight", "1.0.bias", "1.1.weight", "1.1.bias")
    assert net[:2].frozen == ()
    assert net[::2].frozen == ("1.weight",)
    body = nn.Sequential(net[2], nn.Dense(3, 1))
    np.testing.assert_array_equal(body[0].weight, net[2].weight)  # frozen values are brought, so the state is as well
    assert body.frozen == ("0.weight",)
    nested = nn.Sequential(nn.Dense(4, 3), nn.Sequential(*net[2:]), nn.Parallel(net[3], net[2]))
    assert nested.frozen == (
        "1.0.weight", "1.1.0.weight", "1.1.0.bias", "1.1.1.weight", "1.1.1.bias",
        "2.0.0.weight", "2.0.0.bias", "2.0.1.weight", "2.0.1.bias", "2.1.weight",
    )  # fmt: skip
    assert nn.Sequential(*(layer.detached() for layer in net)).frozen == ()


def test_what_does_not_have_it():
    net, other = deep(), deep()
    net.freeze("0.*")
    assert net.config() == other.config()
    assert fastnn.from_config(net.config()).frozen == ()
    assert net.state_dict().keys() == other.state_dict().keys()
    other.load_state_dict(net.state_dict())
    other.copy_from(net)
    assert other.frozen == ()
    other.freeze("2.*")
    other.load_state_dict(net.state_dict())  # values may still be set
    other.copy_from(net, tau=0.5)
    other[2].weight[...] = 1
    assert other.frozen == ("2.weight", "2.bias")


@pytest.mark.parametrize(
    ("frozen", "error", "message"),
    [
        (["0.weight"], TypeError, r"^frozen must be a tuple of names, got \['0.weight'\]$"),
        ((1,), TypeError, "^frozen must be a tuple of names"),
        (("9.weight",), ValueError, "^frozen must be one of 0.weight, .*, got '9.weight'"),
    ],
)
def test_damaged_pickles_are_refused(frozen, error, message):
    restore, arguments = deep().__reduce__()
    with pytest.raises(error, match=message):
        restore(*arguments[:-1], frozen)
    assert restore(*arguments[:-1]).frozen == ()  # as before there was any


def test_texts():
    net = nn.Sequential(
        nn.Dense(2, 3),
        "relu",
        nn.Residual(nn.Dense(3, 3), nn.Sequential("tanh", nn.Dense(3, 3))),
        nn.Dense(3, 1),
        seed=0,
    )
    shown, table = repr(net), str(net.summary())
    assert "frozen" not in shown and "trainable" not in table
    for patterns, text, totals in (
        (["0.*"], "0.*", "37         28"),
        (["*.bias"], "0.bias, 2.0.bias, 2.1.1.bias, 3.bias", "37         27"),
        (["2.*", "3.weight"], "2.*, 3.weight", "37         10"),
        (["2.1.*", "2.0.bias"], "2.0.bias, 2.1.*", "37         22"),
        (["*"], "0.*, 2.*, 3.*", "37          0"),
    ):
        net.unfreeze()
        net.freeze(*patterns)
        assert f"    dtype='float32', seed=0,\n    # frozen: {text}\n)" in repr(net)
        assert str(net.summary()).splitlines()[-1].endswith(totals)
        before = net.frozen
        net.unfreeze()
        net.freeze(text.split(", "))  # what is shown are patterns
        assert net.frozen == before
    net.unfreeze()
    assert (repr(net), str(net.summary())) == (shown, table)
    net.freeze("2.0.*")
    assert [line.split()[-2:] for line in str(net.summary()).splitlines()] == [
        ["parameters", "trainable"], ["9", "9"], ["0", "0"], ["(24)", "(12)"], ["12", "0"], ["(12)", "(12)"],
        ["0", "0"], ["12", "12"], ["4", "4"], ["37", "25"],
    ]  # fmt: skip


# ---- hand-written loops ----


def test_a_change_needs_a_new_forward(impl):
    net = deep()
    trainer = fastnn.Trainer(net)
    x, dz = np.random.default_rng(0).normal(size=(4, 4)), np.ones((4, 3))
    net.forward(x, training=True)
    net.backward(dz)
    net.freeze([])  # no change
    trainer.step()
    for change in (lambda: net.freeze("0.*"), lambda: net.unfreeze("0.bias")):
        net.forward(x, training=True)
        change()
        with pytest.raises(RuntimeError, match=r"^call forward\(x, training=True\) before backward"):
            net.backward(dz)
        with pytest.raises(RuntimeError, match=r"^call net.backward\(dz\) before step"):
            trainer.step()
    net.forward(x, training=True)
    net.backward(dz)
    before = net[0].weight.copy(), net[0].bias.copy()
    trainer.step()
    np.testing.assert_array_equal(net[0].weight, before[0])
    assert (net[0].bias != before[1]).any()


def test_gradients_are_zeroed(impl):
    net = deep()
    net.forward(np.random.default_rng(0).normal(size=(4, 4)), training=True)
    net.backward(np.ones((4, 3)))
    views = net.gradients()
    assert views["8.weight"].any()
    net.freeze("8.*")
    assert not views["8.weight"].any() and not views["8.bias"].any()


def test_one_executor_is_kept(impl):
    """Old ones are dropped: each has memory for its buffers."""
    net = deep()
    for patterns in ("0.*", "2.*", "3.*"):
        net.freeze(patterns)
        net.forward(np.ones((4, 4)), training=True)
    assert len(net._runners._training) == 1
