"""Every spec, on the reference backend and at every ISA level, with every layout and edge value of the zoo."""

import numpy as np
import pytest
from specs import EXACT, SPECS, same_bits
from zoo import LAYOUTS, edges, guarded

import fastnn
from fastnn import kernels
from fastnn._activations import ACTIVATIONS


def every(*, where=lambda spec: True):
    """Run a test for each spec, or for each of those `where` the condition holds."""
    chosen = [spec for spec in SPECS if where(spec)]
    assert chosen
    return pytest.mark.parametrize("spec", chosen, ids=lambda spec: spec.id)


def middle(spec):
    """Return a shape that has whole vectors and a remainder."""
    return spec.shapes[-2]


@every()
def test_oracle(spec, impl, dtype, rng):
    for shape in spec.shapes:
        arguments = spec.make(rng, shape, dtype)
        spec.check(spec.call(kernels, arguments), arguments, shape)


@every(where=lambda spec: spec.edge_arguments)
def test_edges(spec, impl, dtype, rng):
    """Results are within their tiers with NaN, infinities, denormals and zeros among the inputs."""
    for shape in spec.shapes:
        arguments = spec.make(rng, shape, dtype)
        for name in spec.edge_arguments:
            array = arguments[name] = np.array(arguments[name])
            flat = array.reshape(-1)
            values = edges(array.dtype) if spec.edge_values is None else np.array(spec.edge_values, array.dtype)
            replaced = rng.permutation(flat.size)[: max(len(values), flat.size // 3)]
            flat[replaced] = rng.choice(values, replaced.size)
        spec.check(spec.call(kernels, arguments), arguments, shape)


@pytest.mark.sampled(5)
@every()
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(spec, layout, impl, dtype, rng):
    """The bits of a result do not depend on the memory layout of the inputs."""
    for shape in (middle(spec), spec.shapes[3]):
        arguments = spec.make(rng, shape, dtype)
        other = {
            k: LAYOUTS[layout](a) if isinstance(a, np.ndarray) and k not in spec.in_place else a
            for k, a in arguments.items()
        }
        expected, got = spec.call(kernels, arguments), spec.call(kernels, other)
        for name in expected:
            same_bits(got[name], expected[name], f"{spec.name}: {name} {shape}")


@every()
def test_lists(spec, impl, rng):
    """Kernels take any array-like; a list of floats is float64."""
    arguments = spec.make(rng, spec.shapes[4], np.float64)
    lists = {k: a.tolist() if isinstance(a, np.ndarray) and k not in spec.in_place else a for k, a in arguments.items()}
    expected, got = spec.call(kernels, arguments), spec.call(kernels, lists)
    for name in expected:
        same_bits(got[name], expected[name], name)


@every()
def test_arguments_are_not_changed(spec, impl, dtype, rng):
    arguments = spec.make(rng, middle(spec), dtype)
    before = {k: a.copy() for k, a in spec.inputs(arguments).items()}
    spec.call(kernels, arguments)
    for name, array in before.items():
        same_bits(arguments[name], array, name)


@pytest.mark.sampled(4)
@every(where=lambda spec: spec.out)
def test_out_is_filled_and_returned(spec, impl, dtype, rng):
    for shape in spec.shapes:
        arguments = spec.make(rng, shape, dtype)
        expected = spec.call(kernels, arguments)[spec.out]
        out, intact = guarded(expected.shape, expected.dtype)
        got = spec.call(kernels, arguments, **{spec.out: out})[spec.out]
        assert got is out
        assert intact(), f"{shape}: memory beside the array was written"
        same_bits(out, expected, shape)


@every(where=lambda spec: spec.in_place)
def test_nothing_but_the_array_is_updated(spec, impl, dtype, rng):
    for shape in spec.shapes:
        arguments = spec.make(rng, shape, dtype)
        expected = spec.call(kernels, arguments)
        guards = {name: guarded(arguments[name].shape, dtype) for name in spec.in_place}
        for name, (array, _) in guards.items():
            array[...] = arguments[name]
        got = getattr(kernels, spec.function or spec.name)(**arguments | {k: a for k, (a, _) in guards.items()})
        if spec.returns == ("w",):
            assert got is guards["w"][0]
        for name, (array, intact) in guards.items():
            assert intact(), f"{name} {shape}: memory beside the array was written"
            same_bits(array, expected[name], f"{name} {shape}")


@every(where=lambda spec: spec.elementwise or spec.out_may_be)
def test_out_may_be_an_input(spec, impl, dtype, rng):
    for shape in spec.shapes:
        arguments = spec.make(rng, shape, dtype)
        expected = spec.call(kernels, arguments)["out"]
        for name, array in spec.shareable(arguments).items():
            out = array.copy()
            same_bits(spec.call(kernels, arguments | {name: out}, out=out)["out"], expected, name)
            out = array.copy()
            read_only = out.view()
            read_only.flags.writeable = False
            same_bits(spec.call(kernels, arguments | {name: read_only}, out=out)["out"], expected, name)


# Native only: the twin multiplies with NumPy's BLAS, whose order of summation depends on the number of rows.
@every(where=lambda spec: spec.row_arguments and spec.family == "dense")
def test_a_row_of_a_product_depends_on_that_row_alone(spec, native, dtype, rng):
    check_rows(spec, dtype, rng)


@every(where=lambda spec: spec.row_arguments and spec.family != "dense")
def test_a_row_depends_on_that_row_alone(spec, impl, dtype, rng):
    check_rows(spec, dtype, rng)


def check_rows(spec, dtype, rng):
    for shape in spec.shapes:
        if len(shape) < 2:
            continue
        arguments = spec.make(rng, shape, dtype)
        whole = spec.call(kernels, arguments)["out"]
        for rows in (slice(0, 1), slice(-1, None), slice(1, 3), slice(2, 19)):
            part = spec.call(kernels, arguments | {name: arguments[name][rows] for name in spec.row_arguments})["out"]
            same_bits(part, whole[rows], f"{shape} {rows}")


@pytest.mark.sampled(5)
@every()
def test_threads_do_not_change_a_bit(spec, native, dtype, rng):
    arguments = spec.make(rng, spec.large_shape, dtype)
    with fastnn.num_threads(1):
        expected = spec.call(kernels, arguments)
    for n in (2, 3):
        with fastnn.num_threads(n):
            got = spec.call(kernels, arguments)
        for name in expected:
            same_bits(got[name], expected[name], f"{name}, {n} threads")


@pytest.mark.sampled(5)
@every(where=lambda spec: set(spec.tiers.values()) == {EXACT})
def test_exact_kernels_equal_their_twin_where_they_split(spec, native, dtype, rng):
    """At large shapes, with blocks and threads, kernels are compared with the twin: the oracles are slow there."""
    arguments = spec.make(rng, spec.large_shape, dtype)
    got, expected = spec.call(kernels, arguments), spec.call(fastnn.reference, arguments)
    for name in expected:
        same_bits(got[name], expected[name], name)


def test_dtypes_mix_to_float64(impl, rng):
    x = rng.standard_normal((3, 4))
    for dtype, expected in {"f2": "f8", "i1": "f8", "u8": "f8", "?": "f8", "g": "f8", ">f4": "f4", "<f4": "f4"}.items():
        assert kernels.relu(x.astype(dtype)).dtype == expected
    assert kernels.dense(x.astype("f4"), x.T).dtype == "f8"
    assert kernels.dense(x.astype("f4"), x.T.astype("f4")).dtype == "f4"
    assert kernels.gather(x.astype(np.int16), [0]).dtype == "f8"
    assert kernels.gather(np.zeros((3, 4), np.uint8), [0]).dtype == "f4"


def test_products_of_many_blocks(native, dtype, rng):
    """There are more rows, terms and columns than a block of any operand holds."""
    x, w, dy = (rng.standard_normal(shape).astype(dtype) for shape in ((530, 1040), (1040, 600), (530, 600)))
    for out, a, b in (
        (kernels.dense(x, w), x, w),
        (kernels.dense_grad_input(dy, w), dy, w.T),
        (kernels.dense_grad_weight(x, dy), x.T, dy),
    ):
        a, b = a.astype(float), b.astype(float)
        # n + 1 roundings, each half of eps; NumPy's own sums in float64 have the same bound, so twice that in all
        bound = (a.shape[1] + 1) * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b))
        assert np.all(np.abs(out - a @ b) <= bound)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dense_fuses_the_activation_exactly(name, impl, dtype, rng):
    for shape in ((1, 7, 9), (29, 64, 65), (43, 257, 97), (5, 1030, 33)):
        x, w, b = (a.astype(dtype) for a in (rng.standard_normal(s) for s in (shape[:2], shape[1:], shape[2:])))
        same_bits(kernels.dense(x, w, b, activation=name), kernels.activation(name, kernels.dense(x, w, b)), shape)
