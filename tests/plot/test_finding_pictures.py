"""Each kind of finding has a picture, from a training with this fault; what is drawn is what the report says."""

import functools
import itertools
import math

import numpy as np
import pytest
from diagnosis.test_kinds import CASES, FIT, Training, disc, hidden
from plot.pages import page

import fastnn
from fastnn import nn
from fastnn.diagnosis import KINDS, Finding, _training_checks
from fastnn.diagnosis._setup import Setup
from fastnn.diagnosis._subject import Subject
from fastnn.plot import _finding_pictures_data
from fastnn.plot._finding_pictures import PICTURES, NoPicture, PicturedTraining, picture_of
from fastnn.plot._finding_pictures_training import gain
from fastnn.plot._pages import drawing, log_if_wide

pytest.importorskip("matplotlib", reason="matplotlib, which draws the pictures, is not installed")
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


@functools.cache
def report_of(kind):
    faulty, _ = CASES[kind]
    return fastnn.diagnose(faulty.trainer(), *faulty.data, **FIT | faulty.fit)


@functools.cache
def finding_of(kind):
    return next(each for each in report_of(kind).findings if each.kind == kind)


@functools.cache
def drawn(kind):
    with drawing():
        return picture_of(finding_of(kind), PicturedTraining.of(report_of(kind).setup))


def axes(kind):
    return drawn(kind).figure.axes


def test_every_kind_has_a_picture():
    assert set(PICTURES) == set(KINDS)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_drawn(kind):
    picture = drawn(kind)
    assert len(picture.alt) > 10
    assert len(picture.caption) > 20
    for each in picture.figure.axes:
        assert each.get_xlabel() or each.get_label() == "<colorbar>"
        assert each.has_data()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_reports_of_all_kinds_are_pages(kind, tmp_path):
    report = report_of(kind)
    report.to_html(tmp_path / "page.html")
    found = page((tmp_path / "page.html").read_text(encoding="utf-8"))
    gains = [{each.kind, *each.gain.together} for each in report.findings if each.gain is not None]
    assert len(found.all("img")) == len(report.findings) + len(set(map(frozenset, gains)))
    assert "There is no picture" not in found.text


# ---- what is drawn ----


def bars(kind):
    return [patch.get_width() for patch in axes(kind)[0].patches]


def lines(kind, panel=0):
    return {line.get_label(): np.asarray(line.get_ydata(), float) for line in axes(kind)[panel].lines}


def test_bars_have_the_figures_of_the_evidence():
    evidence = finding_of("dead-units").evidence["dead by layer"]
    np.testing.assert_allclose(bars("dead-units"), [100 * each for each in evidence.values()])
    assert bars("imbalance") == np.bincount(CASES["imbalance"][0].data[1]).tolist()
    assert bars("units") == [2, 1, 2]
    np.testing.assert_allclose(bars("labels"), list(finding_of("labels").evidence.values())[:2])
    assert bars("initial-loss")[-1] == pytest.approx(math.log(2))


def test_columns_are_marked():
    labels = [each.get_text() for each in axes("columns")[0].get_xticklabels()]
    assert labels == ["0", "1\nNaN,\ninfinite"]
    (image,) = axes("columns")[0].images
    assert np.argwhere(np.ma.getmaskarray(image.get_array())).tolist() == [[5, 1]]


def test_sizes_of_columns_are_those_of_the_rows():
    X = CASES["input-scale"][0].data[0]
    found = {line.get_label(): line.get_xdata() for line in axes("input-scale")[0].lines}
    np.testing.assert_allclose(found["root mean square"], np.sqrt(np.mean(X**2, axis=0)), rtol=1e-5)
    np.testing.assert_allclose(found["standard deviation"], X.std(axis=0), rtol=1e-5)


@pytest.mark.parametrize("kind", ["target-scale", "saturation", "output-activation"])
def test_shares_of_a_histogram_sum_to_all(kind):
    (histogram,) = axes(kind)[0].containers
    assert sum(patch.get_height() for patch in histogram) == pytest.approx(100)


@pytest.mark.parametrize("kind", ["vanishing-gradient", "exploding-gradient"])
def test_gradients_by_layer_are_the_evidence_and_better_with_the_change(kind):
    found = lines(kind)
    np.testing.assert_allclose(found["as it is"], list(finding_of(kind).evidence["gradient by layer"].values()))
    before, after = (abs(math.log(found[name][0] / found[name][-1])) for name in ("as it is", "with the change"))
    assert after < 0.5 * before


def test_a_linear_net_gives_straight_lines():
    straight, bent = (
        max(np.abs(np.diff(y, 2)).max() / np.ptp(y) for y in lines("linear", panel).values()) for panel in (0, 1)
    )
    assert straight < 1e-5
    assert bent > 1e-3


def test_equal_units_are_equal_rows():
    faulty, mended = (axis.images[0].get_array() for axis in axes("symmetry")[:2])
    assert len(np.unique(faulty, axis=0)) == 1
    assert len(np.unique(mended, axis=0)) == len(mended)


@pytest.mark.parametrize(
    ("epochs", "words"),
    [(1, ", continued to 24, as the change proposes."), (3000, "; the change proposes 72000.")],
    ids=["whole", "shortened"],
)
def test_more_epochs_are_the_same_line_continued(epochs, words):
    training = PicturedTraining.of(report_of("epochs").setup.changed(epochs=epochs))
    finding = Finding("epochs", "note", "", "", _apply=lambda setup: setup.changed(epochs=24 * setup.epochs))
    with drawing():
        picture = picture_of(finding, training)
    found = [line.get_label() for line in picture.figure.axes[0].lines]
    assert found[:2] == ["loss", "val_loss"]
    assert "loss, with the\nchange" not in found
    assert ("your fit\nends here" in found) == (epochs == 1)
    assert picture.caption.startswith(f"A short run: {training.length()}{words}")


@pytest.mark.parametrize("columns", [4, 12])
def test_words_below_columns_do_not_touch(columns):
    X = np.random.default_rng(0).normal(size=(40, columns))
    X[:, -2:] = 1.0
    with drawing():
        picture = _finding_pictures_data._entries(X, {columns - 2: "constant", columns - 1: "constant"}, {})
        FigureCanvasAgg(picture.figure).draw()
    boxes = [each.get_window_extent() for each in picture.figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


@pytest.mark.parametrize("kind", ["learning-rate-high", "learning-rate-low", "batch-size", "regularisation"])
def test_the_change_has_a_lower_loss(kind):
    found = lines(kind)
    assert found["val_loss, with the\nchange"][-1] < 0.9 * found["val_loss, as it is"][-1]


@pytest.mark.parametrize("seed", [0, 3])
def test_the_run_is_that_of_the_diagnosis(seed):
    kind = "learning-rate-low"
    faulty, _ = CASES[kind]
    report = fastnn.diagnose(faulty.trainer(), *faulty.data, **FIT | faulty.fit, seed=seed)
    setup, finding = report.setup, next(each for each in report.findings if each.kind == kind)
    pictured = PicturedTraining.of(setup, report.seed)
    subject = Subject(setup.trainer(), setup, pictured.targets, valid=True, has_validation=False, seed=seed)
    with drawing():
        (ax,) = picture_of(finding, pictured).figure.axes
    for name in ("loss", "val_loss"):
        (line,) = (each for each in ax.lines if each.get_label() == f"{name}, as it is")
        assert line.get_ydata().tolist() == subject.run.history[name]


def test_the_run_on_few_rows_is_the_one_that_was_judged(monkeypatch):
    runs = []
    fit = Setup.fit

    def watched(self, *args, **kwargs):
        run = fit(self, *args, **kwargs)
        runs.append(run)
        return run

    monkeypatch.setattr(Setup, "fit", watched)
    setup = report_of("cannot-fit").setup
    subject = Subject(setup.trainer(), setup, PicturedTraining.of(setup).targets, valid=True, has_validation=False)
    (found,) = _training_checks.cannot_fit(subject)
    assert found.evidence == finding_of("cannot-fit").evidence
    judged = runs[-1].history["loss"]
    assert len(judged) == found.evidence["epochs"]
    assert lines("cannot-fit")["loss of 32 rows"].tolist() == judged


def test_the_loss_of_a_training_that_diverges_is_drawn_by_step():
    found = lines("nonfinite")
    assert found["as it is"][np.isfinite(found["as it is"])][-1] > 1e6
    assert np.isfinite(found["with the change"]).all()


def test_the_gain():
    finding = finding_of("input-scale")
    with drawing():
        (ax,) = gain(finding).figure.axes
    found = [line.get_xdata() for line in ax.lines]
    tried = finding.gain
    assert any(np.array_equal(each, [tried.before]) for each in found)
    assert any(np.array_equal(each, [tried.after]) for each in found)
    assert any(np.array_equal(each, [tried.chance] * 2) for each in found)
    assert gain(finding_of("validation")) is None


# ---- other forms of a fault ----


def with_columns(change):
    X, y = disc(200)
    X = np.column_stack([X, X[:, 0] ** 2])
    return change(X), y


def standing_in(X):
    X[::9, 1] = -999
    return X


def own_loss(sign=1.0, slope=2.0):
    return nn.CustomLoss(lambda z, t: sign * ((z - t) ** 2).sum(axis=1), lambda z, t: slope * (z - t))


NUMBERS = (disc(200)[0], disc(200)[0][:, :1])
ONE, THREE = hidden(1, outputs=1), hidden(1, inputs=3)
X, Y = disc(200)
# Name -> data, layers, loss, arguments of diagnose, the kind, and what the picture shows.
FORMS = {
    "constant": (with_columns(lambda X: X * [1, 1, 0]), THREE, None, {}, "columns", "Entries"),
    "equal": (with_columns(lambda X: X[:, [0, 1, 0]]), THREE, None, {}, "columns", "Entries"),
    "-999": (with_columns(standing_in), THREE, None, {}, "columns", "Histogram of column 1"),
    "one label": ((X, 0 * Y), None, None, {}, "labels", "each label"),
    "missing": ((X, np.where(X[:, :1] > 1, np.nan, X[:, :1])), ONE, "mse", {}, "labels", "without a target"),
    "unknown": ((X, Y), None, None, {"validation_data": (X[:50], Y[:50] + 5 * (X[:50, 0] > 0))}, "labels", "label"),
    "units": ((X, Y), None, None, {"validation_data": (X[:50] * 99 + 500, Y[:50])}, "validation", "validation data"),
    "one-hot": ((X, np.eye(2)[Y]), None, "mse", {}, "loss", "right answers"),
    "refused": ((X, np.arange(200) % 5), None, "cross_entropy", {}, "loss", "each label"),
    "softmax": ((X, Y), [*hidden(1), nn.Softmax()], "cross_entropy", {}, "output-activation", "Histogram"),
    "wrong slope": (NUMBERS, ONE, own_loss(slope=-2.0), {}, "loss", "along its gradient"),
    "reward": (NUMBERS, ONE, own_loss(-1.0, -2.0), {}, "loss", "exact targets"),
    "batch of 4": ((X, Y), [nn.BatchNorm(2), *hidden(1)], None, {"batch_size": 4}, "batch-norm", "small"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_other_forms_of_a_fault_are_drawn(name):
    data, layers, loss, arguments, kind, alt = FORMS[name]
    training = Training(data, layers or hidden(1), loss or "cross_entropy")
    report = fastnn.diagnose(training.trainer(), *training.data, **{"epochs": 3} | arguments)
    finding = next(each for each in report.findings if each.kind == kind)
    with drawing():
        picture = picture_of(finding, PicturedTraining.of(report.setup))
    assert alt in picture.alt


@pytest.mark.parametrize(
    ("values", "zeros", "scale"),
    [
        ([1, 29], False, "linear"), ([1, 31], False, "log"), ([[1, math.nan], [31, math.inf]], False, "log"),
        ([0, 1, 31], False, "linear"), ([0, 1, 31], True, "log"), ([-1, 31], True, "linear"), ([], True, "linear"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("axis", ["x", "y"])
def test_scales_of_numbers_that_differ_much(values, zeros, scale, axis):
    ax = Figure().add_subplot()
    log_if_wide(ax, values, axis, zeros=zeros)
    assert {"x": ax.get_xscale(), "y": ax.get_yscale()} == {"x": "linear", "y": "linear"} | {axis: scale}


# ---- what cannot be drawn ----


@pytest.mark.parametrize("kind", [*KINDS, "of a later version"])
@pytest.mark.parametrize("evidence", [{}, {"gradient by layer": {}, "dead by layer": None, "hidden units": []}])
def test_findings_without_evidence_have_a_picture_or_a_reason(kind, evidence):
    reason = ""
    try:
        with drawing():
            picture = picture_of(Finding(kind, "note", "why", "change", evidence), pictured())
    except NoPicture as why:
        reason = str(why)
    assert len(reason or picture.alt) > 10
    assert reason or kind in KINDS


@functools.cache
def pictured():
    return PicturedTraining.of(report_of("validation").setup)


def test_runs_are_short_whatever_the_training_is():
    setup = report_of("validation").setup
    rows = np.zeros((10**6, 2), np.float32)
    training = PicturedTraining.of(setup.changed(X=rows, y=np.zeros(10**6, int), batch_size=1, epochs=100))
    assert training.seconds(training.short, training.short.epochs) < 0.6
    assert "of 1000000 rows" in training.length()
