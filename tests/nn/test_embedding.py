"""Embeddings of categories: what they read and refuse, their gradients, and dense and sparse updates."""

import numpy as np
import pytest

import fastnn
from fastnn import kernels, nn, optim

SIZES, DIMS = (7, 3, 40), (4, 2, 3)
ROWS = 90


def data(seed=0, rows=ROWS, dtype="float64"):
    """Return two columns of numbers and three of ids, and labels. Some ids are frequent, some are missing."""
    rng = np.random.default_rng(seed)
    ids = [np.minimum(rng.integers(0, size, rows), rng.integers(0, size, rows)) for size in SIZES]
    X = np.column_stack([rng.normal(size=(rows, 2)), *ids]).astype(dtype)
    return X, rng.integers(0, 3, rows)


def one_layer(**options):
    return nn.Columns([2, 3, 4], nn.Embeddings(SIZES, DIMS, **options))


def by_column(**options):
    tables = [
        nn.Columns([2 + i], nn.Embedding(n, d, **options)) for i, (n, d) in enumerate(zip(SIZES, DIMS, strict=True))
    ]
    return nn.Parallel(*tables)


def net_of(embed=one_layer, dtype="float64", seed=0, **options):
    inputs = nn.Parallel(nn.Columns([0, 1]), embed(**options))
    return nn.Sequential(inputs, nn.Dense(11, 8), nn.Tanh(), nn.Dense(8, 3), dtype=dtype, seed=seed)


def trained(net, optimizer=None, fits=1, **settings):
    trainer = fastnn.Trainer(net, optimizer=optimizer or optim.Adam(lr=0.01), **settings)
    for _ in range(fits):
        trainer.fit(*data(dtype=net.dtype), epochs=4 // fits, batch_size=20, verbose=0)
    return net


# ---- what it computes ----


@pytest.mark.parametrize("embed", [one_layer, by_column])
def test_output_is_rows_of_tables(impl, dtype, embed):
    net, (X, _) = net_of(embed, dtype), data(dtype=dtype)
    tables = [value for name, value in net.parameters().items() if name.startswith("0.")]
    want = np.concatenate([X[:, :2], *(table[X[:, 2 + i].astype(int)] for i, table in enumerate(tables))], axis=1)
    np.testing.assert_array_equal(net[:1].predict(X), want)
    np.testing.assert_array_equal(net[:1].forward(X, training=True), want)


def test_initial_values_are_standard_normal():
    net = nn.Sequential(nn.Embedding(1000, 100, padding_idx=3), seed=0)
    table = np.delete(net[0].weight, 3, axis=0)
    assert abs(table.mean()) < 0.02 and abs(table.std() - 1) < 0.02
    assert not net[0].weight[3].any()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8, np.int64, np.int16, np.bool_])
def test_ids_of_all_dtypes_of_X(impl, kind):
    net = nn.Sequential(nn.Embedding(2, 3), seed=0)
    X = np.array([[1], [0], [1]], kind)
    np.testing.assert_array_equal(net.predict(X), net[0].weight[[1, 0, 1]])


def test_ids_are_read_before_the_cast_to_the_dtype_of_the_net(impl):
    """2**24 + 1 is no float32; as that it would be the row before it."""
    size = 2**24 + 2
    net = nn.Sequential(nn.Embedding(size, 1, init="zeros"), dtype="float32")
    net[0].weight[-1] = 5
    for X in (np.array([[size - 1.0], [size - 2.0]]), [[size - 1], [size - 2]]):
        assert net.predict(X).tolist() == [[5.0], [0.0]]
    message = (
        r"^X must be float64, as column 0 has 16777218 categories and float32 ends at 2\*\*24, got float32: "
        r"make X float64 or integers from the start, as float32 has rounded its ids$"
    )
    with pytest.raises(ValueError, match=message):
        net.predict(np.zeros((1, 1), np.float32))
    with pytest.raises(ValueError, match=message):
        fastnn.Trainer(net, loss="mean_squared_error").fit(np.zeros((1, 1), np.float32), [0.0], verbose=0)


def test_strided_and_reversed_input(native):
    net, (X, _) = net_of(), data()
    whole = net.predict(X)
    for part in (slice(0, 1), slice(5, 50), slice(None, None, -3)):
        np.testing.assert_array_equal(net.predict(X[part]), whole[part])
    np.testing.assert_array_equal(net.predict(np.asfortranarray(X)), whole)


# ---- ids that are no rows ----

WRONG = {
    "too large": (7.0, r"7\.0 in row 4: give the layer unknown=\"own\""),
    "negative": (-1.0, r"-1\.0 in row 4: give"),
    "NaN": (np.nan, r"nan in row 4: give"),
    "infinite": (np.inf, r"inf in row 4: give"),
    "a fraction": (1.5, r"1\.5 in row 4$"),
}


@pytest.mark.parametrize("name", WRONG)
def test_ids_outside_the_table_are_errors(impl, dtype, name):
    value, got = WRONG[name]
    net, (X, y) = net_of(dtype=dtype), data()
    X[4, 2] = value
    trainer, before = fastnn.Trainer(net), net.params.data.copy()
    calls = (
        lambda: net.predict(X), lambda: net.forward(X, training=True), lambda: net.activations(X),
        lambda: trainer.fit(X, y, verbose=0), lambda: trainer.evaluate(X, y), lambda: net.predict(X[4:]),
    )  # fmt: skip
    for index, call in enumerate(calls):
        where = got.replace("row 4", "row 0") if index == 5 else got
        with pytest.raises(ValueError, match=rf"^X must contain whole numbers from 0 to 6 in column 2.*, got {where}"):
            call()
    assert trainer.step_count == net.training_steps == 0
    np.testing.assert_array_equal(net.params.data, before)


@pytest.mark.parametrize("value", [7.0, -1.0, np.nan, np.inf, 1e300, -0.5e-300 - 1])
def test_unknown_ids_have_a_row_of_their_own(impl, value):
    net = nn.Sequential(nn.Embedding(7, 2, unknown="own"), seed=0)
    assert net[0].weight.shape == (8, 2)
    np.testing.assert_array_equal(net.predict([[value], [6.0]]), net[0].weight[[7, 6]])
    with pytest.raises(ValueError, match=r"^X must contain whole numbers in column 0, .*, got 0\.5 in row 1$"):
        net.predict([[value], [0.5]])


@pytest.mark.parametrize("value", [7.0, -1.0, np.nan, 0.5])
def test_ids_are_checked_in_each_batch(impl, value):
    """The data changes during the training; the steps before that batch are made."""
    net, (X, y) = net_of(), data()

    class Change(fastnn.Callback):
        def on_epoch_begin(self, trainer):
            if trainer.epoch == 1:
                X[:, 2] = value

    trainer = fastnn.Trainer(net)
    message = (
        r"in column 2, .*, got .* in row \d+ \(it has changed since the training began\): do not change X during a fit"
    )
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, y, epochs=3, batch_size=30, callbacks=[Change()], verbose=0)
    assert trainer.step_count == 3 and np.isfinite(net.params.data).all()


# ---- where it may be ----


@pytest.mark.parametrize("layers", [
    lambda: [nn.Dense(2, 1), nn.Embedding(3, 2)],
    lambda: [nn.Parallel(nn.Columns([0]), nn.Sequential(nn.Dense(2, 1), nn.Embedding(3, 2)))],
    lambda: [nn.Columns([1], in_features=2), nn.ReLU(), nn.Embedding(3, 2)],
    lambda: [nn.Embeddings([3], 1), nn.Embedding(3, 2)],
])  # fmt: skip
def test_it_reads_columns_of_the_input_only(layers):
    message = r"^Embedding\(3, 2\) must read columns of the net's input, alone or within nn.Columns, got the output of"
    with pytest.raises(ValueError, match=message):
        nn.Sequential(*layers())


def test_columns_of_columns(impl):
    net = nn.Sequential(nn.Columns([3, 1], nn.Identity(), nn.Columns([1], nn.Embedding(4, 2)), in_features=5), seed=0)
    table = net.parameters()["0.1.0.weight"]
    np.testing.assert_array_equal(net.predict([[9.5, 3, 9.5, 9.5, 9.5]]), table[[3]])


ARGUMENTS = {
    "no rows": (lambda: nn.Embedding(0, 2), "num_embeddings must be an integer from 1"),
    "no columns": (lambda: nn.Embedding(2, 0), "dim must be an integer of at least 1"),
    "padding": (lambda: nn.Embedding(2, 2, padding_idx=2), "padding_idx must be an integer from 0 to 1"),
    "padding from the end": (
        lambda: nn.Embedding(5, 2, padding_idx=-2),
        "padding_idx must be an integer from 0 to 4, got -2: write 3, as rows are counted from the first$",
    ),
    "padding before the first": (lambda: nn.Embedding(5, 2, padding_idx=-6), "padding_idx must be .* 4, got -6$"),
    "unknown": (lambda: nn.Embedding(2, 2, unknown="new"), "unknown must be one of error, own"),
    "an empty list": (lambda: nn.Embeddings([], 2), "cardinalities must have a number for each column"),
    "a table of 0": (lambda: nn.Embeddings([3, 0], 2), r"cardinalities\[1\] must be an integer from 1"),
    "two widths for three": (lambda: nn.Embeddings([3, 4, 5], [1, 2]), "dims must be one number, or 3"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_wrong_arguments(name):
    make, message = ARGUMENTS[name]
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


PYTORCH = {
    "dim": (lambda: nn.Embedding(10, embedding_dim=3), TypeError, "the arguments of nn.Embedding .*: write dim$"),
    "max_norm": (
        lambda: nn.Embedding(10, 3, max_norm=1.0),
        TypeError,
        r".*, got 'max_norm': leave it out: only nn\.De",
    ),
    "scale_grad": (lambda: nn.Embedding(9, 3, scale_grad_by_freq=True), TypeError, ".*: leave it out: gradients of"),
    "from_pretrained": (
        lambda: nn.Embedding.from_pretrained(np.ones((3, 2))),
        AttributeError,
        r"Embedding has no attribute 'from_pretrained': write .* layer\.weight\[\.\.\.\] = table$",
    ),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(9, 3), AttributeError, r".*'EmbeddingBag': write nn\.Dense\("),
    "SparseAdam": (
        lambda: optim.SparseAdam(),
        AttributeError,
        r".*'SparseAdam': write optim\.Adam with nn\.Embedding\(",
    ),
    "its name": (
        lambda: fastnn.Trainer(nn.Sequential(nn.Embedding(9, 3)), optimizer="SparseAdam"),
        ValueError,
        r"optimizer must be .*: write optim\.Adam with nn\.Embedding\(\.\.\., sparse=True\)$",
    ),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_habits_of_PyTorch(name):
    make, error, message = PYTORCH[name]
    with pytest.raises(error, match=f"^{message}"):
        make()


# ---- gradients and updates ----


@pytest.mark.parametrize("options", [{}, {"unknown": "own"}, {"sparse": True}])
@pytest.mark.parametrize("embed", [one_layer, by_column])
def test_gradients(impl, embed, options):
    report = fastnn.check_gradients(net_of(embed, **options), *data())
    assert report.ok, f"\n{report}"
    assert report.blocks[0].checked == 2 * ROWS  # the columns of numbers


def test_gradients_of_a_net_of_ids_alone(impl):
    net = nn.Sequential(nn.Embeddings(SIZES, DIMS), nn.Dense(9, 3), dtype="float64", seed=0)
    X, y = data()
    report = fastnn.check_gradients(net, X[:, 2:], y)
    assert report.ok and [block.name for block in report.blocks][:2] == ["0.0.weight", "0.1.weight"]
    z = net.forward(X[:, 2:], training=True, input_grad=True)
    assert not net.backward(np.ones_like(z)).any()


def test_padding_has_no_gradient(impl):
    net = nn.Sequential(nn.Embedding(4, 2, padding_idx=1), nn.Dense(2, 1), dtype="float64", seed=0)
    z = net.forward([[0], [1], [1], [3]], training=True)
    net.backward(np.ones_like(z))
    assert (net.gradients()["0.weight"] != 0).any(axis=1).tolist() == [True, False, False, True]
    fastnn.Trainer(net, loss="mean_squared_error").fit([[0], [1], [1], [3]], np.ones(4), epochs=3, verbose=0)
    assert not net[0].weight[1].any() and not (net[0].weight[[0, 2, 3]] == 0).any()


@pytest.mark.parametrize("options", [{}, {"sparse": True}, {"unknown": "own"}])
@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.5}, {"clip_value": 0.01}])
def test_executors_agree(native, options, settings):
    nets = []
    for backend in ("native", "reference"):
        with fastnn.backend(backend):
            nets.append(trained(net_of(**options), **settings))
    assert nets[0].training_steps == 20
    for name, want in nets[1].parameters().items():
        assert np.abs(nets[0].parameters()[name] - want).max() <= 1e-12 * np.abs(want).max()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_bits_do_not_depend_on_threads_or_on_the_number_of_fits(native, dtype, sparse, wide):
    """Wide tables are wider than the pieces in which sums are made."""
    dims = (600, 2, 1100) if wide else DIMS

    def new():
        inputs = nn.Parallel(nn.Columns([0, 1]), nn.Columns([2, 3, 4], nn.Embeddings(SIZES, dims, sparse=sparse)))
        return nn.Sequential(inputs, nn.Dense(2 + sum(dims), 3), dtype=dtype, seed=0)

    with fastnn.num_threads(1):
        want = trained(new())
    for threads, fits in ((2, 1), (3, 2)):
        with fastnn.num_threads(threads):
            np.testing.assert_array_equal(trained(new(), fits=fits).params.data, want.params.data)


@pytest.mark.parametrize("sparse", [False, True])
def test_fused_steps_equal_a_hand_written_loop(impl, dtype, sparse):
    nets = [net_of(dtype=dtype, sparse=sparse) for _ in range(2)]
    X, y = data(dtype=dtype)
    fused, by_hand = map(fastnn.Trainer, nets)
    for start in (0, 40, 80):
        rows = slice(start, start + 40)
        fused.fit(X[rows], y[rows], epochs=1, batch_size=40, shuffle=False, verbose=0)
        z = nets[1].forward(X[rows], training=True)
        dz = np.empty_like(z)
        kernels.cross_entropy(z, y[rows], grad=dz)
        nets[1].backward(dz)
        by_hand.step()
    np.testing.assert_array_equal(nets[0].params.data, nets[1].params.data)


@pytest.mark.parametrize("optimizer", [optim.Adam(lr=0.1), optim.SGD(lr=0.1), optim.Adagrad(lr=0.1)])
def test_a_sparse_update_changes_the_rows_of_the_batch_only(impl, optimizer):
    net = nn.Sequential(nn.Embedding(6, 2, sparse=True), nn.Dense(2, 1), seed=0)
    trainer = fastnn.Trainer(net, "mean_squared_error", optimizer)
    for ids in ([[1], [4], [1]], [[2], [4]]):
        before = net[0].weight.copy()
        trainer.fit(ids, np.full(len(ids), 9.0), epochs=1, verbose=0)
        changed = (net[0].weight != before).any(axis=1)
        assert np.flatnonzero(changed).tolist() == sorted({i for (i,) in ids})


@pytest.mark.parametrize(("optimizer", "message"), [
    (optim.SGD(momentum=0.9), r"^optimizer must be Adam, Adagrad, or SGD without momentum, as updates of 0.weight are"),
    (optim.RMSprop(), "^optimizer must be Adam"),
    (optim.AdamW(), r'^weight_decay must be 0 for 0.weight, .*, got 0.01: add groups=\[optim.Group\("0.weight", weigh'),
    (optim.LBFGS(), r"^net must have no sparse updates with LBFGS, got 0.weight"),
])  # fmt: skip
def test_optimisers_without_sparse_updates(optimizer, message):
    net = nn.Sequential(nn.Embedding(6, 2, sparse=True), nn.Dense(2, 1))
    with pytest.raises(ValueError, match=message):
        fastnn.Trainer(net, "mean_squared_error", optimizer)
    trainer = fastnn.Trainer(net, "mean_squared_error")
    with pytest.raises(ValueError, match=message):
        trainer.optimizer = optimizer
    assert isinstance(trainer.optimizer, optim.Adam)


def test_groups_apply_to_sparse_updates(impl):
    groups = [optim.Group("0.weight", lr_scale=0.0, weight_decay=0.0)]
    net = nn.Sequential(nn.Embedding(6, 2, sparse=True), nn.Dense(2, 1), seed=0)
    before = net[0].weight.copy(), net[1].weight.copy()
    trainer = fastnn.Trainer(net, "mean_squared_error", optim.AdamW(groups=groups))
    trainer.fit([[1], [4]], [9.0, 9.0], verbose=0)
    np.testing.assert_array_equal(net[0].weight, before[0])
    assert (net[1].weight != before[1]).all()


# ---- copies and state dicts ----


@pytest.mark.parametrize("sparse", [False, True])
def test_state_dicts_have_the_orientation_of_PyTorch(sparse):
    net = trained(net_of(sparse=sparse, unknown="own"))
    values = net.state_dict()
    assert {name: array.shape for name, array in values.items() if name.startswith("0.")} == {
        "0.1.0.0.weight": (8, 4), "0.1.0.1.weight": (4, 2), "0.1.0.2.weight": (41, 3),
    }  # fmt: skip
    np.testing.assert_array_equal(values["0.1.0.0.weight"], net.parameters()["0.1.0.0.weight"])
    other = net_of(seed=1, sparse=sparse, unknown="own")
    other.load_state_dict(values)
    np.testing.assert_array_equal(other.params.data, net.params.data)
    np.testing.assert_array_equal(net.copy().predict(data()[0]), net.predict(data()[0]))


@pytest.mark.parametrize("key", ["0.1.0.0.weight", "0.1.0.2.weight"])
def test_a_table_without_the_own_row_says_how_to_append_one(key):
    net, state = net_of(unknown="own"), net_of(seed=1).state_dict()
    message = r"append a row for unknown categories: np\.vstack\(\[table, table\.mean\(axis=0\)\]\)$"
    table, before = state[key], net.params.data.copy()
    with pytest.raises(ValueError, match=rf"^state_dict\['{key}'\] must have shape .*: {message}"):
        net.load_state_dict({key: table}, strict=False)
    np.testing.assert_array_equal(net.params.data, before)
    net.load_state_dict({key: np.vstack([table, table.mean(axis=0)])}, strict=False)
    np.testing.assert_array_equal(net.state_dict()[key][:-1], table)
    for other in (table[:-1], table[:, :-1]):
        with pytest.raises(ValueError, match=r"must have shape \(\d+, \d\), got shape \(\d+, \d\)$"):
            net.load_state_dict({key: other}, strict=False)
    with pytest.raises(ValueError, match=r"must have shape \(\d+, \d\), got shape \(\d+, \d\)$"):
        net_of().load_state_dict({key: table[:-1]}, strict=False)


@pytest.mark.parametrize("sparse", [False, True])
def test_training_states_continue(impl, sparse):
    X, y = data()
    trainers = [fastnn.Trainer(net_of(sparse=sparse)) for _ in range(2)]
    trainers[0].fit(X, y, epochs=2, verbose=0)
    trainers[1].net.load_state_dict(trainers[0].net.state_dict())
    trainers[1].load_state_dict(trainers[0].state_dict())
    trainers.append(trainers[0].copy())
    for trainer in trainers:
        trainer.fit(X, y, epochs=2, verbose=0)
        np.testing.assert_array_equal(trainer.net.params.data, trainers[0].net.params.data)


def test_sparse_Adam_adds_eps_before_the_correction(impl):
    """PyTorch's SparseAdam: w -= lr * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + eps)."""
    net = nn.Sequential(nn.Embedding(2, 1, sparse=True, init="zeros"), dtype="float64")
    trainer = fastnn.Trainer(net, "mean_squared_error", optim.Adam(lr=0.5, eps=0.25))
    trainer.fit([[1]], [1.0], epochs=1, verbose=0)
    g = -2.0  # of the squared error of 0
    want = -0.5 * np.sqrt(0.001) / 0.1 * (0.1 * g) / (np.sqrt(0.001 * g**2) + 0.25)
    np.testing.assert_allclose(net[0].weight, [[0.0], [want]], rtol=1e-12)


@pytest.mark.parametrize("width", [511, 512, 513, 1100])
@pytest.mark.parametrize("sparse", [False, True])
def test_wide_tables(impl, sparse, width):
    """Tables at least as wide as the pieces in which sums are made: a step equals the formula."""
    net = nn.Sequential(nn.Embedding(3, width, sparse=sparse), dtype="float64", seed=0)
    ids, y = np.array([[2], [0], [2]]), np.random.default_rng(0).normal(size=(3, width))
    want = net[0].weight.copy()
    np.add.at(want, ids[:, 0], -0.1 * 2 * (want[ids[:, 0]] - y) / (3 * width))
    fastnn.Trainer(net, "mean_squared_error", optim.SGD(lr=0.1)).fit(ids, y, epochs=1, verbose=0)
    np.testing.assert_allclose(net[0].weight, want, rtol=1e-12)


@pytest.mark.parametrize("embed", [one_layer, by_column])
def test_divergence_names_the_embedding(impl, embed):
    net = net_of(embed, unknown="own")
    table = next(leaf for leaf in net.leaves if leaf.reads_ids)
    table.array(next(iter(table.parameters())))[2] = np.inf
    X, y = data()
    X[0, 3] = np.nan
    layer = r"0\.1\.0 \(Embeddings\)" if embed is one_layer else r"0\.1\.0\.0 \(Embedding\)"
    with pytest.raises(fastnn.TrainingDiverged, match=f"first non-finite layer: {layer}"):
        fastnn.Trainer(net).fit(np.where(np.isnan(X), -1, X), y, verbose=0)


def test_no_gradient_of_what_depends_on_the_input_alone():
    """Dropout of the input, and copies of its columns, need no backward ops."""
    net = nn.Sequential(nn.Dropout(0.5), nn.Parallel(nn.Columns([0], in_features=2), nn.Columns([1])), nn.Dense(2, 1))
    for input_grad in (False, True):
        backward = net.training_program(input_grad=input_grad).sections["backward"]
        assert ("dense_grad_input" in [op.kind for op in backward]) == input_grad
    assert [op.kind for op in net.training_program().sections["backward"]] == ["dense_grad_weight"]


# ---- with a scaler ----


SCALERS = {
    "standard": fastnn.data.Scaler.fit,
    "robust": fastnn.data.RobustScaler.fit,
    "quantile": fastnn.data.QuantileScaler.fit,
}


@pytest.mark.parametrize("kind", SCALERS)
def test_a_scaler_leaves_ids_as_they_are(impl, kind):
    X, _ = data()
    net, plain = net_of(), net_of()
    net.scaler = SCALERS[kind](X, columns=[0, 1])
    scaled = np.column_stack([net.scaler.transform(X)[:, :2], X[:, 2:]])
    np.testing.assert_allclose(net.predict(X), plain.predict(scaled), rtol=1e-12, atol=1e-14)
    message = r"^scaler must leave column 2 as it is, as Embeddings.* reads it, got .*: give fit .*: columns=\[0, 1\]$"
    for wrong in (SCALERS[kind](X), SCALERS[kind](X, columns=[0, 2])):
        with pytest.raises(ValueError, match=message):
            net.scaler = wrong
    with pytest.raises(ValueError, match=message):
        net.load_state_dict(plain.state_dict() | {"scaler.center": np.ones(5), "scaler.scale": np.ones(5)})


@pytest.mark.parametrize("unknown", ["error", "own"])
def test_fit_takes_NaN_in_filled_columns_and_for_own_rows(impl, unknown):
    X, y = data()
    X[3, 0] = X[5, 2] = np.nan
    net = net_of(unknown=unknown)
    trainer = fastnn.Trainer(net)
    if unknown == "error":
        with pytest.raises(
            ValueError, match=r"^X must contain whole numbers from 0 to 6 in column 2, .*, got nan in row 5"
        ):
            trainer.fit(X, y, verbose=0)
        return
    start = r"^X must contain finite numbers, got nan in row 3, column 0: write net\.scaler = "
    end = r'columns=\[0, 1\], nan="center"\)$'
    with pytest.raises(ValueError, match=rf"{start}Scaler\.fit\(X, {end}"):
        trainer.fit(X, y, verbose=0)
    net.scaler = fastnn.data.RobustScaler.fit(np.nan_to_num(X), columns=[0, 1])
    with pytest.raises(ValueError, match=rf"{start}RobustScaler\.fit\(X, \.\.\., {end}"):
        trainer.fit(X, y, verbose=0)
    net.scaler = fastnn.data.Scaler.fit(X, columns=[0, 1], nan="center")
    trainer.fit(X, y, verbose=0)
    assert np.isfinite(net.predict(X)).all()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("settings", [{}, {"clip_norm": 1.0}])
def test_a_batch_of_padding_alone(impl, sparse, settings):
    net = nn.Sequential(nn.Embedding(3, 2, padding_idx=0, sparse=sparse), nn.Dense(2, 1), seed=0)
    before = net[0].weight.copy()
    trainer = fastnn.Trainer(net, "mean_squared_error", optim.Adam(), **settings)
    trainer.fit([[0], [0]], [1.0, 2.0], epochs=2, verbose=0)
    assert trainer.step_count == 2 and net[1].bias[0] > 0
    np.testing.assert_array_equal(net[0].weight, before)
