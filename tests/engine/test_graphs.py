"""Programs that are no chains: buffers with several readers, whose gradients are added."""

import itertools

import numpy as np
import pytest

import fastnn
from fastnn import kernels, nn, optim
from fastnn.engine import Builder, lower_inference

WIDTH = 5


class Pen:
    """Appends ops to a builder by short names. Parameters are named in the order of their use."""

    def __init__(self, prefix, builder):
        self.prefix, self.builder = prefix, builder
        self.shapes = {"param": {}, "state": {}}

    def array(self, space, kind, *shape):
        name = f"{kind}{len(self.shapes[space])}"
        self.shapes[space][name] = shape
        return f"{space}:{self.prefix}{name}"

    def op(self, kind, x, roles, **attrs):
        y = self.builder.rows(WIDTH)
        self.builder.op(kind, {"x": x, "y": y, **roles}, **attrs)
        return y

    def dense(self, x):
        return self.op("dense", x, {"w": self.array("param", "w", WIDTH, WIDTH), "b": self.array("param", "b", WIDTH)})

    def norm(self, x):
        roles = {"gamma": self.array("param", "gamma", WIDTH), "beta": self.array("param", "beta", WIDTH)}
        mean, var = self.array("state", "running_mean", WIDTH), self.array("state", "running_var", WIDTH)
        if not self.builder.training:
            return self.op("affine", x, {**roles, "mean": mean, "var": var})
        batch = {"mean": self.builder.vector(WIDTH), "inv_std": self.builder.vector(WIDTH)}
        return self.op("batch_norm", x, {**roles, **batch, "running_mean": mean, "running_var": var})

    def row_norm(self, kind, x, statistics, **shift):
        roles = {"gamma": self.array("param", "gamma", WIDTH), **shift}
        kept = {role: self.builder.rows(1) for role in statistics if self.builder.training}
        return self.op(kind, x, {**roles, **kept})

    def layer_norm(self, x):
        return self.row_norm("layer_norm", x, ("mean", "inv_std"), beta=self.array("param", "beta", WIDTH))

    def layer_norm_without_shift(self, x):
        return self.row_norm("layer_norm", x, ("mean", "inv_std"))

    def rms_norm(self, x):
        return self.row_norm("rms_norm", x, ("inv_std",))

    def prelu(self, x):
        return self.op("prelu", x, {"a": self.array("param", "a", WIDTH)})

    def add(self, x, x2):
        return self.op("add", x, {"x2": x2})

    def multiply(self, x, x2):
        return self.op("multiply", x, {"x2": x2})

    def scale(self, x):
        return self.op("scale", x, {}, factor=-0.75)

    def factors(self, x):
        return self.op("scale_columns", x, {"gamma": self.array("param", "gamma", WIDTH)})

    def piecewise(self, x):
        """Encode three neighbouring columns, by 2, 1 and 2 bins."""
        bins = ((-1.0, 0.2, 1.0), (-0.5, 0.5), (-2.0, -0.4, 0.3))
        return self.op("piecewise_linear", x, {}, column=1, n_columns=3, bins=bins)

    def periodic(self, x):
        """Encode column 4, then columns 1 and 2 by one op; what is not used of the five frequencies stays as it is."""
        w, parts = self.array("param", "w", WIDTH, 1), []
        for column, n in ((4, 1), (1, 2)):
            parts.append(self.builder.rows(2 * n))
            self.builder.op("periodic", {"x": x, "w": w, "y": parts[-1]}, column=column, n_columns=n)
        kept = self.builder.rows(3)
        self.builder.op("take_columns", {"x": parts[1], "y": kept}, columns=(0, 1, 3))
        return self.joined([(parts[0], (3, 0)), (kept, (1, 2, 4))])

    def reversed(self, x):
        return self.op("take_columns", x, {}, columns=tuple(range(WIDTH))[::-1])

    def columns(self, x, *columns):
        y = self.builder.rows(len(columns))
        self.builder.op("take_columns", {"x": x, "y": y}, columns=columns)
        return y

    def joined(self, parts):
        """Write buffers, given with their places, into one."""
        y = self.builder.rows(WIDTH)
        for x, columns in parts:
            self.builder.op("put_columns", {"x": x, "y": y}, columns=columns)
        return y

    def split(self, x):
        """Put some columns through an activation, and leave the others."""
        changed = self.builder.rows(2)
        self.builder.op("activation", {"x": self.columns(x, 3, 0), "y": changed}, activation="tanh")
        return self.joined([(changed, (0, 3)), (self.columns(x, 1, 2, 4), (1, 2, 4))])

    def softmax(self, x):
        return self.op("softmax", x, {})

    def custom(self, x):
        f = nn.CustomActivation(np.sin, lambda dy, x, y: dy * np.cos(x))
        return self.op("custom", x, {}, function=f._run_forward, backward=f._run_backward)

    def dropout(self, x):
        return self.op("activation", x, {}, p=0.25, stream=7) if self.builder.training else x

    def __getattr__(self, activation):
        return lambda x: self.op("activation", x, {}, activation=activation)


class Graph(nn.Layer):
    """A layer whose ops a function of a pen and the input draws."""

    def __init__(self, draw):
        super().__init__()
        self.in_features = self.out_features = WIDTH
        self._draw = draw
        pen = Pen("", Builder(WIDTH, training=True))
        draw(pen, "batch:x")
        self._shapes = pen.shapes

    def parameters(self):
        return self._shapes["param"]

    def buffers(self):
        return self._shapes["state"]

    def emit(self, builder, x):
        return self._draw(Pen(self._prefix, builder), x)

    def reset(self, seed, default):
        rng = np.random.default_rng(seed)
        for name, shape in {**self._shapes["param"], **self._shapes["state"]}.items():
            self.array(name)[...] = 1 if "var" in name else rng.normal(size=shape)


def result_and_activation(g, h):
    return g.add(g.tanh(h), h)


def twice_activated(g, x):
    h = g.dense(x)
    return g.add(g.tanh(h), g.sigmoid(h))


def activation_with_two_readers(g, x):
    h = g.tanh(g.dense(x))
    return g.add(g.dense(h), g.add(g.dense(h), h))


def nested(g, x):
    one = g.add(g.tanh(g.dense(x)), x)
    two = g.add(g.dense(g.relu(g.dense(one))), one)
    return g.add(two, x)


def sums_that_share_inputs(g, x):
    h = g.dense(x)
    one = g.add(h, x)
    return g.add(g.add(x, one), g.add(one, h))


def unused_branch(g, x):
    h = g.tanh(g.dense(x))
    g.relu(g.add(h, x))
    return h


def branches_in_place(g, x):
    s = g.add(g.tanh(g.dense(x)), g.prelu(x))
    return g.add(g.softmax(s), g.selu(s))


def square_of_a_result(g, x):
    h = g.tanh(g.dense(x))
    return g.add(g.multiply(h, h), h)


def scaled_and_not(g, x):
    h = g.dense(x)
    return g.add(g.scale(h), h)


def columns_twice(g, x):
    h = g.dense(x)
    return g.add(g.reversed(h), g.multiply(g.split(h), h))


def encoded_twice(g, h):
    return g.add(g.add(g.piecewise(h), h), g.multiply(g.periodic(h), g.piecewise(h)))


GRAPHS = {
    "residual": lambda g, x: g.norm(g.add(g.relu(g.dense(x)), x)),
    "input twice": lambda g, x: g.add(x, x),
    "dense and skip": lambda g, x: g.add(x, g.dense(x)),
    "diamond": lambda g, x: g.add(g.tanh(g.dense(x)), g.sigmoid(g.dense(x))),
    "two dense ops": lambda g, x: g.add(g.dense(x), g.dense(x)),
    "three dense ops": lambda g, x: g.add(g.add(g.dense(x), g.dense(x)), g.dense(x)),
    "result and activation": lambda g, x: result_and_activation(g, g.dense(x)),
    "one result, two activations": twice_activated,
    "one activation, two readers": activation_with_two_readers,
    "activations of the input": lambda g, x: g.add(g.tanh(x), g.gelu(x)),
    "norm and dense": lambda g, x: g.add(g.norm(x), g.dense(x)),
    "layer norm": lambda g, x: g.add(g.gelu(g.layer_norm(g.dense(x))), x),
    "layer norm of the input": lambda g, x: g.add(g.layer_norm_without_shift(x), g.dense(g.layer_norm(x))),
    "layer norm of a sum": lambda g, x: g.dropout(g.relu(g.layer_norm(g.add(g.tanh(g.dense(x)), x)))),
    "layer norm that shares its gradient": lambda g, x: g.add(g.layer_norm(g.dense(x)), g.add(g.tanh(x), x)),
    "root mean square norm": lambda g, x: g.add(g.silu(g.rms_norm(g.dense(x))), g.dropout(g.rms_norm(x))),
    "prelu and norm": lambda g, x: g.add(g.prelu(x), g.norm(x)),
    "activation of a sum": lambda g, x: g.gelu(g.add(g.dense(x), x)),
    "dropout of a sum": lambda g, x: g.dense(g.dropout(g.tanh(g.add(g.dropout(g.dense(x)), x)))),
    "custom": lambda g, x: g.add(g.custom(x), g.add(x, g.custom(g.dense(x)))),
    "sums that share inputs": sums_that_share_inputs,
    "nested": nested,
    "product": lambda g, x: g.multiply(g.dense(x), g.sigmoid(g.dense(x))),
    "product with the input": lambda g, x: g.dense(g.multiply(g.dense(x), x)),
    "square": lambda g, x: g.multiply(x, x),
    "square of a result": square_of_a_result,
    "activation of a product": lambda g, x: g.gelu(g.multiply(g.dense(x), g.dense(x))),
    "dropout of a product": lambda g, x: g.dropout(g.tanh(g.multiply(g.dense(x), x))),
    "mean": lambda g, x: g.scale(g.add(g.dense(x), x)),
    "scaled and not": scaled_and_not,
    "columns reversed": lambda g, x: g.dense(g.reversed(g.tanh(g.dense(x)))),
    "columns joined": lambda g, x: g.split(g.dense(x)),
    "columns of the input": lambda g, x: g.dense(g.split(x)),
    "columns twice": columns_twice,
    "columns of a sum": lambda g, x: g.add(g.split(g.add(g.dense(x), x)), x),
    "factors of columns": lambda g, x: g.add(g.factors(g.tanh(g.factors(x))), x),
    "encodings": lambda g, x: g.add(g.piecewise(x), g.periodic(x)),
    "encodings of a result": lambda g, x: encoded_twice(g, g.dense(x)),
    "encodings that share a gradient": lambda g, x: encoded_twice(g, g.add(g.dense(x), x)),
    "unused branch": unused_branch,
    "branches in place": branches_in_place,
}

PLACES = {
    "first": lambda graph: [graph, nn.Dense(WIDTH, 3)],
    "inside": lambda graph: [nn.Dense(4, WIDTH), nn.Tanh(), graph, nn.SiLU(), nn.Dense(WIDTH, 3)],
    "last": lambda graph: [nn.Dense(4, WIDTH), graph],
}


KINDS = ["dense", "norm", "layer_norm", "rms_norm", "prelu", "tanh", "silu", "softmax", "scale", "reversed", "split"]
KINDS += ["factors", "piecewise", "periodic"]
KINDS += ["add", "multiply"] * 3


def random_graph(seed):
    """Return a function that draws a random graph: all its results end in one sum."""

    def draw(g, x):
        rng = np.random.default_rng(seed)
        nodes, unread = [x], {x}
        for _ in range(8):
            kind = str(rng.choice(KINDS))
            read = [nodes[rng.integers(len(nodes))] for _ in range(1 + (kind in ("add", "multiply")))]
            nodes.append(getattr(g, kind)(*read))
            unread = unread.difference(read) | {nodes[-1]}
        ends = sorted(unread)
        return list(itertools.accumulate(ends, g.add))[-1]

    return draw


def net_of(draw, place="inside", dtype="float64"):
    return nn.Sequential(*PLACES[place](Graph(draw)), dtype=dtype, seed=3)


def data(net, rows=7):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, net.in_features)), rng.integers(0, net.out_features, rows)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", GRAPHS)
def test_gradients(impl, name, place):
    net = net_of(GRAPHS[name], place)
    report = fastnn.check_gradients(net, *data(net))
    wrong = [block.name for block in report.blocks if not block.ok]
    # The gradients of a bias before a batch norm, and of a branch without a reader, are zero but for rounding.
    assert all(max(block.error, block.largest) < 1e-9 for block in report.blocks if block.name in wrong), f"\n{report}"
    assert len(wrong) < len(report.blocks) / 2


@pytest.mark.sampled(5)
@pytest.mark.parametrize("seed", range(40))
def test_gradients_of_random_graphs(seed):
    with fastnn.backend("native" if seed % 2 else "reference"):
        net = net_of(random_graph(seed), list(PLACES)[seed % 3])
        report = fastnn.check_gradients(net, *data(net))
    assert all(block.error <= max(block.bound, 1e-8) for block in report.blocks), f"\n{report}"


@pytest.mark.parametrize("name", GRAPHS)
def test_executors_agree(native, name):
    """Steps, outputs and input gradients of both."""
    results = []
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            net = net_of(GRAPHS[name])
            X, y = data(net, 300)
            trainer = fastnn.Trainer(net, optimizer=optim.SGD(lr=0.02, momentum=0.9))
            trainer.fit(X, y, epochs=2, batch_size=130, verbose=0)
            z = net.forward(X, training=True, input_grad=True)
            results.append([net.params.data, net.state.data, net.predict(X), z, net.backward(np.ones_like(z))])
    for have, want in zip(*results, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", GRAPHS)
def test_fused_steps_equal_a_hand_written_loop(native, name, dtype):
    nets = [net_of(GRAPHS[name], dtype=dtype) for _ in range(2)]
    X, y = data(nets[0], 40)
    fused, by_hand = map(fastnn.Trainer, nets)
    fused.fit(X, y, epochs=3, batch_size=40, shuffle=False, verbose=0)
    for _ in range(3):
        z = nets[1].forward(X, training=True)
        dz = np.empty_like(z)
        kernels.cross_entropy(z, y, grad=dz)
        nets[1].backward(dz)
        by_hand.step()
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)


@pytest.mark.parametrize("place", PLACES)
def test_predictions_read_the_input_in_place(impl, place, dtype):
    """The input has two readers; rows are predicted from the caller's memory, or converted from another type."""
    net = net_of(lambda g, x: g.add(x, g.tanh(g.dense(x))), place, dtype)
    X = data(net, 1030)[0].astype(dtype)
    want = net.forward(X, training=True)
    for rows in (X, np.asfortranarray(X), X[::-1][::-1], X.astype("float64")):
        for part in (slice(None), slice(5, 6), slice(1020, None)):
            np.testing.assert_allclose(net.predict(rows[part]), want[part], rtol=1e-5, atol=1e-6)


def kinds(draw, place="first"):
    program = net_of(draw, place).training_program(loss="cross_entropy", target="labels", optimizer="sgd")
    return [op.kind for op in program.sections["forward"]], [op.kind for op in program.sections["backward"]]


def test_an_activation_is_not_fused_where_its_input_has_another_reader():
    assert kinds(GRAPHS["result and activation"])[0] == ["dense", "activation", "add", "dense"]
    assert kinds(GRAPHS["activation of a sum"])[0] == ["dense", "add", "dense"]
    inference = lower_inference(*net_of(GRAPHS["norm and dense"], "last").emit(training=False))
    assert [op.kind for op in inference.sections["forward"]] == ["dense", "affine", "dense", "add"]


def test_gradients_are_copied_and_added_only_where_they_must_be():
    assert kinds(lambda g, x: g.add(g.dense(x), g.dense(x)))[1] == ["dense_grad_input"] + ["dense_grad_weight"] * 3
    _, backward = kinds(lambda g, x: g.add(g.tanh(g.dense(x)), g.dense(x)))
    assert backward.count("copy") == 0  # the branch without an activation comes first and reads the shared gradient
    _, backward = kinds(lambda g, x: g.add(x, g.tanh(g.dense(x))), "inside")
    assert (backward.count("copy"), backward.count("accumulate")) == (1, 1)


def test_a_parameter_with_two_readers_is_refused():
    layer = nn.Dense(WIDTH, WIDTH)
    layer.__class__ = type("Twice", (nn.Dense,), {"emit": lambda self, b, x: super(type(self), self).emit(
        b, super(type(self), self).emit(b, x))})  # fmt: skip
    net = nn.Sequential(layer, seed=0)
    with pytest.raises(ValueError, match=r"^parameter '0.bias' must be used by one op of a net, got several"):
        net.training_program()


@pytest.mark.parametrize("second", ["the same row", "the whole", "another row"])
def test_rows_of_frequencies_have_one_reader_each(impl, second):
    def draw(g, x):
        w = g.array("param", "w", WIDTH, WIDTH)
        y = g.builder.rows(2 * WIDTH)
        g.builder.op("periodic", {"x": x, "w": w, "y": y}, column=2)
        if second == "the whole":
            return g.add(g.columns(y, *range(WIDTH)), g.op("dense", x, {"w": w}))
        other = g.builder.rows(2 * WIDTH)
        g.builder.op("periodic", {"x": x, "w": w, "y": other}, column=2 if second == "the same row" else 3)
        total = g.builder.rows(2 * WIDTH)
        g.builder.op("add", {"x": y, "x2": other, "y": total})
        return g.columns(total, *range(WIDTH))

    net = net_of(draw)
    if second == "another row":
        report = fastnn.check_gradients(net, *data(net))
        assert all(block.ok for block in report.blocks), f"\n{report}"
    else:
        with pytest.raises(ValueError, match=r"^parameter '2.w0' must be used by one op of a net, got several"):
            net.training_program()


class Wrong(nn.Layer):
    """A layer whose `emit` is given."""

    def __init__(self, emit, shape=(3, 3)):
        super().__init__()
        self._emit, self._shape = emit, shape
        self.in_features = self.out_features = 3

    def parameters(self):
        return {"weight": self._shape}

    def emit(self, builder, x):
        return self._emit(self, builder, x)


def emitting(kind, buffers, width=3, **attrs):
    """Return an `emit` of one op with `buffers`, and y of a width."""

    def emit(layer, builder, x):
        y = builder.rows(width)
        builder.op(kind, {"x": x, **buffers(layer, x), "y": y}, **attrs)
        return y

    return emit


def overwriting(layer, builder, x):
    """Emit an op, and one that writes the softmax of its result over its input."""
    y = builder.rows(3)
    builder.op("activation", {"x": x, "y": y}, activation="tanh")
    builder.op("softmax", {"x": y, "y": x})
    return x


def activated_too_early(builder, x):
    y = builder.rows(6)
    builder.op("put_columns", {"x": x, "y": y}, columns=(0, 1, 2))
    builder.op("activation", {"x": y, "y": builder.rows(6)}, activation="tanh")
    return y


def putting(*places, width=3):
    """Return an `emit` of several ops that write the same buffer."""

    def emit(layer, builder, x):
        y = builder.rows(width)
        for columns in places:
            builder.op("put_columns", {"x": x, "y": y}, columns=columns)
        return y

    return emit


def with_statistics(make):
    """Return an `emit` of a layer norm that keeps its statistics in buffers that `make` makes."""

    def emit(layer, builder, x):
        statistics = {"mean": make(builder), "inv_std": make(builder)}
        return emitting("layer_norm", lambda layer, x: {**layer.roles(gamma="weight"), **statistics})(layer, builder, x)

    return emit


WRONG = {
    "an unknown op": (emitting("ad", lambda layer, x: {}), {}, "the kind of an op must be one of .*, got 'ad'"),
    "an unknown activation": (
        emitting("activation", lambda layer, x: {}, activation="rleu"),
        {},
        "activation must be one of .*, got 'rleu'",
    ),
    "an unknown parameter": (
        emitting("dense", lambda layer, x: {"w": "param:weight"}),
        {},
        "w of op 'dense' must be a buffer of the builder",
    ),
    "an unknown name": (emitting("dense", lambda layer, x: layer.roles(w="w")), {}, "w must be one of weight, got 'w'"),
    "a sum of another width": (
        emitting("add", lambda layer, x: {"x2": x}, width=5),
        {},
        r"y of op 'add' must have shape \(3,\), the width of x",
    ),
    "a narrow activation": (emitting("activation", lambda layer, x: {}, width=1), {}, "y of op 'activation' must have"),
    "a narrow custom op": (emitting("custom", lambda layer, x: {}, width=2), {}, "y of op 'custom' must have shape"),
    "a weight of another shape": (
        emitting("dense", lambda layer, x: layer.roles(w="weight")),
        {"shape": (2, 3)},
        r"w .* must have shape \(3, 3\)",
    ),
    "slopes of another width": (
        emitting("prelu", lambda layer, x: layer.roles(a="weight")),
        {"shape": (2,)},
        r"a .* must have shape \(3,\)",
    ),
    "statistics of rows in a wider buffer": (
        with_statistics(lambda builder: builder.rows(3)),
        {"shape": (3,)},
        r"mean of op 'layer_norm' must be .* one entry each, .*, got batch:h\d of shape \(3,\)",
    ),
    "statistics of rows in a vector": (
        with_statistics(lambda builder: builder.vector(1)),
        {"shape": (3,)},
        r"mean of op 'layer_norm' must be a buffer of rows, of builder.rows, got 'vector:v0'",
    ),
    "an op of the backward pass": (
        emitting("copy", lambda layer, x: {}),
        {},
        "must be that of a forward op, got 'copy'",
    ),
    "a buffer written twice": (
        overwriting,
        {},
        "y of op 'softmax' must be a buffer that no op has written",
    ),
    "a buffer not written": (
        emitting("add", lambda layer, x: {"x2": "batch:h9"}),
        {},
        "x2 of op 'add' must be a buffer",
    ),
    "too few columns": (
        emitting("take_columns", lambda layer, x: {}, columns=(0, 1)),
        {},
        "y of op 'take_columns' must have 2 columns, those of `columns`, got 3",
    ),
    "columns out of range": (
        emitting("take_columns", lambda layer, x: {}, columns=(0, 1, 3)),
        {},
        r"columns of op 'take_columns' must be different columns of x, from 0 to 2, got \(0, 1, 3\)",
    ),
    "a column below 0": (emitting("put_columns", lambda layer, x: {}, columns=(0, 1, -1)), {}, "from 0 to 2, got"),
    "a column twice": (
        emitting("put_columns", lambda layer, x: {}, columns=(0, 1, 1)),
        {},
        "be different columns of y",
    ),
    "columns written twice": (
        putting((0, 1, 2), (2, 1, 0)),
        {},
        "y of op 'put_columns' must be a buffer that no op has written",
    ),
    "a parameter as rows": (
        emitting("add", lambda layer, x: {"x2": "param:0.weight"}),
        {"shape": (3,)},
        "x2 of op 'add' must be a buffer of rows, of builder.rows, got 'param:0.weight'",
    ),
    "rows as a parameter": (
        emitting("rms_norm", lambda layer, x: {"gamma": x}),
        {},
        "gamma of op 'rms_norm' must be no buffer of rows, got 'batch:x'",
    ),
    "a result in a vector": (
        lambda layer, builder, x: builder.op("activation", {"x": x, "y": builder.vector(3)}),
        {},
        "y of op 'activation' must be a buffer of rows, of builder.rows, got 'vector:v0'",
    ),
    "a result in a parameter": (
        lambda layer, builder, x: builder.op("put_columns", {"x": x, "y": "param:0.weight"}, columns=(0, 1, 2)),
        {"shape": (3,)},
        "y of op 'put_columns' must be a buffer of rows",
    ),
    "a vector that nobody has written": (
        lambda layer, builder, x: builder.op("rms_norm", {"x": x, "gamma": builder.vector(3), "y": builder.rows(3)}),
        {},
        "gamma of op 'rms_norm' must be a buffer that an op has written, got 'vector:v0'",
    ),
    "an output with columns that nobody has written": (
        putting((0, 1, 2), width=5),
        {},
        "must return the name of the buffer that has its output, of which all columns are written",
    ),
    "columns read before all are written": (
        lambda layer, builder, x: activated_too_early(builder, x),
        {},
        "x of op 'activation' must be a buffer of which ops have written all columns",
    ),
    "columns cleared": (
        emitting("put_columns", lambda layer, x: {}, columns=(0, 1, 2), clear=True),
        {},
        "must be that of a forward op, got one that clears columns",
    ),
    "half a column": (
        emitting("take_columns", lambda layer, x: {}, columns=(0.5, 1, 2)),
        {},
        "columns of op 'take_columns' must be int",
    ),
    "an encoding that is too narrow": (
        emitting("piecewise_linear", lambda layer, x: {}, bins=((0, 1, 2),)),
        {},
        "y of op 'piecewise_linear' must have 2 columns, one for each entry, got 3",
    ),
    "columns that there are not": (
        emitting("piecewise_linear", lambda layer, x: {}, column=2, n_columns=2, bins=((0, 1, 2), (0, 1))),
        {},
        "the columns of op 'piecewise_linear' must be within the 3 columns of x, got columns 2 to 3",
    ),
    "bins of another number of columns": (
        emitting("piecewise_linear", lambda layer, x: {}, n_columns=2, bins=((0, 1, 2, 3),)),
        {},
        "bins must be those of 2 columns, got 1 lists",
    ),
    "wrong bins": (emitting("piecewise_linear", lambda layer, x: {}, bins=((1, 0),)), {}, "strictly increasing"),
    "a column before the first": (
        emitting("piecewise_linear", lambda layer, x: {}, column=-1, bins=((0, 1),)),
        {},
        "column must be an integer of at least 0, got -1",
    ),
    "frequencies of other columns": (
        emitting("periodic", lambda layer, x: layer.roles(w="weight")),
        {"shape": (2, 1)},
        r"w of op 'periodic' must have 3 rows, one for each column of x, got shape \(2, 1\)",
    ),
    "frequencies in a vector": (
        emitting("periodic", lambda layer, x: layer.roles(w="weight")),
        {"shape": (3,)},
        r"w of op 'periodic' must have 3 rows, one for each column of x, got shape \(3,\)",
    ),
    "eps below 0": (
        emitting("rms_norm", lambda layer, x: layer.roles(gamma="weight"), eps=-1.0),
        {"shape": (3,)},
        "eps must be",
    ),
    "no parameters of an activation": (
        emitting("activation", lambda layer, x: {}, activation="softplus"),
        {},
        "parameters of softplus must be the values of beta, got \\(\\)",
    ),
    "too much dropout": (emitting("activation", lambda layer, x: {}, p=7.0), {}, "p must be a number in"),
    "no output": (
        lambda layer, builder, x: None,
        {},
        "must return the name of the buffer that has its output, got None",
    ),
}


@pytest.mark.parametrize(("emit", "settings", "message"), WRONG.values(), ids=WRONG)
def test_ops_that_do_not_fit_are_refused(impl, emit, settings, message):
    """Compiled ops would read and write past the ends of their buffers."""
    net = nn.Sequential(Wrong(emit, **settings), seed=0)
    for run in (lambda: net.predict(np.ones((2, 3))), lambda: net.forward(np.ones((2, 3)), training=True)):
        with pytest.raises((TypeError, ValueError), match=message):
            run()


@pytest.mark.parametrize("activation", ["gelu", "tanh", "silu"])
@pytest.mark.parametrize("kind", ["add", "multiply", "dense"])
def test_what_a_derivative_needs_is_kept_unasked(impl, kind, activation):
    """An epilogue that a layer asks for itself, without a buffer for what its derivative is computed from."""

    def emit(layer, builder, x):
        y = builder.rows(3)
        roles = layer.roles(w="weight") if kind == "dense" else {"x2": x}
        builder.op(kind, {"x": x, **roles, "y": y}, activation=activation)
        return y

    net = nn.Sequential(nn.Dense(4, 3), Wrong(emit), dtype="float64", seed=0)
    net.parameters()["1.weight"][...] = np.random.default_rng(1).normal(size=(3, 3))
    report = fastnn.check_gradients(net, *data(net))
    assert all(block.error <= max(block.bound, 1e-8) for block in report.blocks), f"\n{report}"
