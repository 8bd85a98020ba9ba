"""The surfaces on which optimisers descend: their derivatives, and that the optimisers are fastnn's."""

import numpy as np
import pytest

import fastnn
from fastnn import kernels, optim
from fastnn.lab._claims import Measured
from fastnn.lab._surfaces import ROSENBROCK, SADDLE, descend, first, heights, ravine
from fastnn.lab.experiments import newton

SURFACES = {"saddle": SADDLE, "Rosenbrock": ROSENBROCK, "ravine": ravine(100), "turned": ravine(30, turned=20)}
POINT = np.array([0.3, -0.7])


@pytest.mark.parametrize("name", SURFACES)
def test_derivatives(name):
    surface = SURFACES[name]
    assert fastnn.check_gradient(lambda p: surface.value(*p), lambda p: surface.gradient(*p), POINT).ok


def test_hessian_of_the_saddle():
    for i in range(2):
        row = fastnn.check_gradient(lambda p, i=i: SADDLE.gradient(*p)[i], lambda p, i=i: newton.hessian(*p)[i], POINT)
        assert row.ok, row


def test_descend_takes_the_steps_of_the_kernel():
    path = descend(ROSENBROCK, optim.Adam(0.01), POINT, 5)
    point, m, v = POINT.copy(), np.zeros(2), np.zeros(2)
    for step in range(1, 6):
        kernels.adam(point, ROSENBROCK.gradient(*point), m, v, step=step, lr=0.01)
        np.testing.assert_allclose(path[step], point, rtol=1e-12)


def test_after_convergence_and_divergence():
    arrived = descend(ravine(2), optim.Newton(), POINT, 50)
    assert np.all(arrived[-1] == arrived[-10])
    assert np.abs(arrived[-1]).max() < 1e-6
    lost = descend(ravine(100), optim.SGD(1.0), POINT, 50)
    assert np.all(np.isinf(lost[-1]))
    assert np.all(np.isfinite(lost[0]))


@pytest.mark.parametrize(("where", "index"), [([False, True, True], 1), ([True], 0), ([False, False], np.inf)])
def test_first(where, index):
    assert first(np.array(where)) == index


def test_a_table_says_what_was_never_reached():
    found = Measured([{"slow": {"steps": first(np.array([False, reached]))}} for reached in (True, False)])
    assert found.numbers()[1] == [["slow", "inf"]]


def test_heights_are_infinite_where_the_path_is_lost():
    surface = ravine(100, turned=45)
    path = descend(surface, optim.SGD(1.0), POINT, 50)
    found = heights(surface, path)
    assert found[0] == surface.value(*POINT)
    np.testing.assert_array_equal(np.isinf(found), np.isinf(path[:, 0]))
    assert np.isinf(found[-1])
