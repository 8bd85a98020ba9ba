"""Pages and notebook views of histories, reports, nets and gradient checks."""

import dataclasses
import math
import pickle
import re

import numpy as np
import pytest
from plot.pages import page

import fastnn
from fastnn import _html, nn, optim, plot
from fastnn.diagnosis import Finding
from fastnn.diagnosis._findings import Gain
from fastnn.plot import _finding_pictures, _finding_pictures_training, _history_page, _report_page, _style
from fastnn.plot._pages import draw_by_epoch, drawing, label, panels

pytest.importorskip("matplotlib", reason="matplotlib, which draws the pictures, is not installed")
from matplotlib.artist import getp
from matplotlib.figure import Figure

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 2)) * [1.0, 1000.0]
Y = (X[:, 0] > X[:, 1] / 1000).astype(int)


def net(outputs=2):
    return nn.Sequential(nn.Dense(2, 16), nn.ReLU(), nn.Dense(16, outputs), seed=0)


@pytest.fixture(scope="module")
def report():
    found = fastnn.diagnose(net(), X, Y, epochs=20, batch_size=32)
    return dataclasses.replace(found, findings=(found.findings[0], found.findings[-1]))


@pytest.fixture(scope="module")
def watched():
    """A history with validation data, a metric, a schedule and a `Watch`."""
    trainer = fastnn.Trainer(net(), schedule=optim.ExponentialLR(0.95), metrics="balanced_accuracy")
    callbacks = [fastnn.Watch(every=2)]
    return trainer.fit(X, Y, epochs=40, validation_data=(X, Y), callbacks=callbacks, verbose=0)


@pytest.fixture
def no_matplotlib(monkeypatch):
    monkeypatch.setattr(_style, "has_matplotlib", lambda: False)


def written(each, tmp_path):
    path = tmp_path / "page.html"
    each.to_html(path)
    text = path.read_text(encoding="utf-8")
    found = page(text)
    assert text.startswith("<!DOCTYPE html>\n")
    assert found.all("html") == [{"lang": "en"}]
    assert len(found.all("h1")) == len(found.all("title")) == 1
    assert any(each.get("name") == "viewport" for each in found.all("meta"))
    return found


def in_notebook(each):
    text = each._repr_html_()
    found = page(text)
    assert found.elements[0] == ("div", {"class": "fastnn"})
    assert not {"html", "head", "body", "h1", "h2"} & {tag for tag, _ in found.elements}
    rules = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
    selectors = [each for line in rules.strip().splitlines() for each in line.partition("{")[0].split(",")]
    assert selectors
    assert all(each.strip().startswith(".fastnn ") for each in selectors)
    return found


# ---- histories ----


def test_the_page_of_a_history(watched, tmp_path):
    found = written(watched, tmp_path)
    best = int(np.argmin(watched["val_loss"]))
    assert (
        f"The lowest loss on validation data was {watched['val_loss'][best]:.4g}, after epoch {best + 1}." in found.text
    )
    alts = " ".join(each["alt"] for each in found.all("img"))
    for part in ("loss by epoch", "accuracy by epoch", "balanced_accuracy by epoch", "learning rate by epoch"):
        assert part in alts
    assert "standard deviation of the outputs by epoch, a line for each of 0, 1, 2" in alts
    assert "update over weights by epoch, a line for each of 0.weight, 2.weight" in alts
    assert f"{watched['loss'][0]:.4g}" in found.text
    assert f"{watched['2.std'][-1]:.3g}" in found.text


def test_a_long_table_is_thinned(tmp_path):
    epochs = [{"loss": 1.0 / (1 + i), "val_loss": abs(i - 50) + 1.0} for i in range(200)]
    found = written(fastnn.History(epochs), tmp_path)
    assert "169 epochs in the middle are left out" in found.text
    assert len(found.all("tr")) == 1 + 15 + 1 + 1 + 1 + 15  # the head; "..." before and after the best epoch
    assert f"{epochs[50]['loss']:.4g}" in found.text and f"{epochs[49]['loss']:.4g}" not in found.text
    found = written(fastnn.History(epochs[:35]), tmp_path)
    assert "left out" not in found.text
    assert len(found.all("tr")) == 1 + 35


@pytest.mark.parametrize(
    ("epochs", "text"),
    [
        ([], "No epoch has been trained yet."),
        ([{"loss": 0.5}], "1 epoch."),
        (
            [{"loss": 0.5, "lr": 0.1, "seconds": 1.5}] * 2,
            "2 epochs. The steps took 3 seconds. The learning rate was 0.1.",
        ),
        ([{"loss": math.nan}, {"loss": math.inf}, {"loss": 1e308}], "3 epochs."),
        ([dict.fromkeys(["loss", "val_loss", "lr", "seconds", "m", "0.std", "0.norm"], 1e308)] * 3, "3 epochs. The l"),
        ([{"loss": 0.5, "seconds": 0.0004}] * 3, "3 epochs. The steps took 1.2 ms."),
        ([{"loss": 0.5, "seconds": 6000.0}] * 2, "The steps took 12,000 seconds."),
        ([{"loss": 0.0, "<script>": 1.0}], "<script>"),
        ([{"loss": 1.0, "val_$x$": 0.5, "val_$\\nothing$": 1.0, "_hidden": 3.0}], "val_$\\nothing$"),
        ([{"loss": 1.0, "정확도": 0.5}], "정확도"),
        ([{"loss": 1.0, "": 0.5, "val_": 0.5}], "epochlossval_"),
    ],
    ids=["none", "one", "two", "not finite", "1e308", "ms", "hours", "markup", "formula", "another script", "no name"],
)
def test_histories_of_all_kinds(epochs, text, tmp_path):
    history = fastnn.History(epochs)
    assert text in written(history, tmp_path).text
    in_notebook(history)


@pytest.mark.parametrize(
    ("seconds", "unit", "cells"),
    [
        ([8.445e-05, 2.92e-05, 0.0001675], "ms", ["0.084", "0.029", "0.168"]),
        ([0.9, 0.02, math.nan], "ms", ["900", "20", "nan"]),
        ([12.0, 0.5, math.inf], "seconds", ["12.0", "0.5", "inf"]),
        ([0.0, 0.0, 0.0], "ms", ["0", "0", "0"]),
        ([1e300, 1.0, 0.0], "seconds", ["1e+300", "1", "0"]),
    ],
)
def test_times_have_one_unit_and_equal_digits(seconds, unit, cells, no_matplotlib):
    html = fastnn.History([{"loss": 1.0, "seconds": each} for each in seconds])
    text = _history_page._epochs(html, 15)
    assert re.findall("<th(?: [^>]*)?>(.*?)</th>", text) == ["epoch", "loss", unit]
    assert re.findall("<td[^>]*>(.*?)</td>", text)[2::3] == cells


def test_epochs_that_a_watch_has_left_out_leave_points():
    trainer = fastnn.Trainer(net())
    history = trainer.fit(X, Y, epochs=20, callbacks=[fastnn.Watch()], verbose=0)
    with drawing():
        (picture,) = _history_page._of_layers(history, "std", ["0"])
    (line,) = picture.figure.axes[0].lines
    recorded = np.flatnonzero(np.isfinite(history["0.std"]))
    alone = [i for i in recorded if not {i - 1, i + 1} & set(recorded)]
    assert len(alone) >= 2
    assert set(line.get_markevery()) >= set(alone)


def test_long_names_leave_room_for_the_panel():
    names = ["m" * 400, "val_" + "m" * 400, "m" * 200 + "x" + "m" * 199, "$" * 400]
    figure, (ax,) = panels()
    with drawing():
        draw_by_epoch(ax, {name: np.arange(3.0) for name in names}, names[0])
        _style.svg(figure)  # warns if the layout finds no room
    labels = [line.get_label() for line in ax.lines]
    assert len(set(labels)) == 4
    assert labels[1] == f"val_{labels[0]}"
    assert ax.get_position().width > 0.2


@pytest.mark.parametrize("name", ["loss", "$x$", "_hidden", "accuracy"])
def test_figures_by_epoch_are_drawn_as_those_of_plot_history(name):
    figures = {name: np.array([3.0, 2.0, 1.0]), f"val_{name}": np.array([2.0, math.nan, 2.5])}
    ax, expected = Figure().add_subplot(), Figure().add_subplot()
    with drawing():
        draw_by_epoch(ax, figures, name)
        plot.history(figures, name, ax=expected)
    assert ax.get_ylabel() == label(name)
    assert len(ax.lines) == len(expected.lines) == 2 + (name in ("loss", "accuracy"))  # and the best epoch
    for drawn, line in zip(ax.lines, expected.lines, strict=True):
        assert not drawn.get_label().startswith("_")
        np.testing.assert_array_equal(drawn.get_xydata(), line.get_xydata())
        for look in ("color", "linestyle", "marker", "markerfacecolor", "markevery"):
            assert getp(drawn, look) == getp(line, look)


def test_lines_without_validation_differ_by_their_dashes():
    ax = Figure().add_subplot()
    with drawing():
        draw_by_epoch(ax, {f"layer {i}": np.arange(3.0) for i in range(3)}, "std")
    assert len({line.get_linestyle() for line in ax.lines}) == 3


def test_half_a_character_does_not_stop_the_page(tmp_path):
    fastnn.History([{"loss": 1.0, "\ud800": 0.5}]).to_html(tmp_path / "page.html")
    assert "&#55296;" in (tmp_path / "page.html").read_text()


def test_a_history_in_a_notebook(watched):
    found = in_notebook(watched)
    assert [each["alt"] for each in found.all("img")] == ["loss by epoch: loss and val_loss"]
    assert len(found.all("tr")) == 4  # the head, the first epoch, "...", the last


# ---- reports ----


@pytest.fixture(scope="module")
def page_of_report(report, tmp_path_factory):
    return written(report, tmp_path_factory.mktemp("report"))


def test_the_page_of_a_report(report, page_of_report):
    found = page_of_report
    head, *_ = str(report).split("\n\n")
    for line in head.splitlines():
        assert line in found.text
    assert found.all("section") == [{}] * len(report.findings)
    for finding in report.findings:
        assert finding.why in found.text
        assert finding.change in found.text
        for name in finding.evidence:
            assert name in found.text
        assert finding.gain is None or str(finding.gain) in found.text
    assert len(found.all("img")) == len(report.findings) + sum(each.gain is not None for each in report.findings)
    assert "Dense(16, 2)" in found.text and "CrossEntropyLoss()" in found.text


def test_a_report_in_a_notebook(report):
    found = in_notebook(report)
    assert report.findings[0].change in found.text
    assert len(found.all("img")) >= len(report.findings)
    alone = in_notebook(report.findings[0])
    assert report.findings[0].why in alone.text


def test_equal_reports_give_equal_pages_and_stay_as_they_are(report, page_of_report, tmp_path):
    twin = dataclasses.replace(report)  # has no pictures yet
    before = pickle.dumps(twin)
    assert written(twin, tmp_path).elements == page_of_report.elements
    assert pickle.dumps(twin) == before


def test_pictures_of_a_report_are_drawn_once(report, page_of_report, tmp_path, monkeypatch):
    monkeypatch.setattr(_report_page, "PicturedTraining", None)  # whatever needs it fails
    assert len(in_notebook(report).all("img")) == len(page_of_report.all("img"))
    assert written(report, tmp_path).elements == page_of_report.elements
    with pytest.raises(AttributeError):
        dataclasses.replace(report)._repr_html_()


def test_a_report_keeps_the_seed_of_its_rows(monkeypatch):
    reports = [fastnn.diagnose(net(), X, Y, epochs=1, seed=seed) for seed in (0, 3)]
    assert [each.seed for each in reports] == [0, 3]
    assert repr(reports[1]) == repr(dataclasses.replace(reports[1], seed=0))
    assert reports[1] == dataclasses.replace(reports[1], seed=0)
    assert pickle.loads(pickle.dumps(reports[1])).seed == 3
    monkeypatch.setattr(_report_page, "_picture", lambda finding, training: str(training.seed))
    assert [_report_page.pictures(each)[0][0] for each in reports] == ["0", "3"]


@pytest.mark.slow
def test_a_report_from_a_pickle_has_its_pictures(report, page_of_report, tmp_path):
    loaded = pickle.loads(pickle.dumps(report))
    assert not loaded.findings[0].can_apply
    assert len(written(loaded, tmp_path).all("img")) == len(page_of_report.all("img"))


def test_labels_are_no_markup(tmp_path):
    labels = np.array(["<script>alert(1)</script>", 'b"$x$&', "$\\nothing$", "라벨"])[np.arange(200) % 4]
    report = fastnn.diagnose(net(), X, labels, loss="cross_entropy", epochs=1)
    found = written(report, tmp_path)
    assert "<script>alert(1)</script>" in found.text
    assert found.all("img")[0]["alt"] == "Number of rows of each label"


def fails(z, t):
    raise KeyError("mine")


def test_a_training_that_does_not_run_has_a_report(tmp_path):
    loss = nn.CustomLoss(fails, fails)
    report = fastnn.diagnose(net(1), X, X[:, :1], loss=loss, epochs=2)
    found = written(report, tmp_path)
    assert "There is no picture, as" in found.text
    assert all(each.change in found.text for each in report.findings)


def test_mistakes_of_a_picture_are_not_hidden(report, tmp_path, monkeypatch):
    def draw(finding, training):
        return {}["x"]

    monkeypatch.setitem(_finding_pictures.PICTURES, report.findings[0].kind, draw)
    with pytest.raises(KeyError):
        dataclasses.replace(report).to_html(tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_what_several_changes_gained_is_shown_once(report):
    kinds = ["batch-size", "learning-rate-low", "units"]
    gain = Gain("R2", -1.0, 0.6, 0.03, 200, 2, 0.0)
    findings = [
        Finding(kind, "error", "why", "change", {}, dataclasses.replace(gain, together=tuple({*kinds} - {kind})))
        for kind in kinds
    ]
    found = in_notebook(
        dataclasses.replace(report, findings=(*findings, Finding("epochs", "error", "w", "c", {}, gain)))
    )
    assert sum("before and after" in each["alt"] for each in found.all("img")) == 2
    assert found.text.count("what that gained stands below finding 1.") == 2
    with drawing():
        first, alone = (
            _finding_pictures_training.gain(Finding("units", "error", "", "", {}, each)).figure.axes[0]
            for each in (findings[2].gain, gain)
        )
    assert first.get_title(loc="left").startswith("all three changes together:\nunits, ")
    assert alone.get_title(loc="left") == ""


def test_r2_is_not_followed_below_minus_1():
    finding = Finding("cannot-fit", "note", "why", "change", {"rows": 32, "R2": -1.0, "R2 on rows held out": 0.25})
    assert "R2 below -1; R2 on rows held out 0.250" in str(finding)
    assert "R2below -1" in in_notebook(finding).text
    with drawing():
        (ax,) = _finding_pictures_training.gain(
            dataclasses.replace(finding, gain=Gain("R2", -1.0, 0.6, 0.03, 200, 2, 0.0))
        ).figure.axes
    assert (
        dict(zip(ax.get_xticks(), [each.get_text() for each in ax.get_xticklabels()], strict=True))[-1.0] == "below -1"
    )


def test_code_wraps_and_stays_as_it_is():
    code = "net = nn.Sequential(\n    nn.Dense(2, 16),\n\n)"
    found = in_notebook(Finding("units", "note", "why", code))
    assert found.all("span").count({"class": "line"}) == 4
    assert f"{code}\n" in found.text
    assert "pre code { background: none; white-space: pre-wrap; }" in _html.STYLE


def test_evidence_of_many_entries(tmp_path):
    found = {"by layer": {f"<{i}>": float(i) for i in range(40)}, "list": list(range(100)), "text": "<b>"}
    html = in_notebook(Finding("symmetry", "note", "why", "change", found))
    assert "by layer: others" in html.text and "16 more" in html.text
    assert "... (100 in all)" in html.text and "<b>" in html.text


# ---- files, and no matplotlib ----


def test_paths_that_cannot_be_written(report, tmp_path):
    history = fastnn.History([{"loss": 1.0}])
    for each in (report, history):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            each.to_html(tmp_path / "nowhere" / "page.html")
        with pytest.raises(ValueError, match="path must be the path of a file"):
            each.to_html(tmp_path)
        with pytest.raises(TypeError, match="path must be"):
            each.to_html(3)
    assert not list(tmp_path.iterdir())


def test_an_old_file_is_replaced(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(ValueError, match="text"):
        fastnn.History([{"loss": "text"}]).to_html(path)
    assert path.read_text() == "old"
    fastnn.History([{"loss": 1.0}]).to_html(str(path))
    assert path.read_text() != "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("no_matplotlib")
def test_without_matplotlib_all_but_the_pictures_is_there(report, watched, tmp_path):
    for each in (report, watched):
        found = written(each, tmp_path)
        assert found.all("img") == []
        assert 'Pictures need matplotlib: in a checkout of fastnn run pip install ".[plot]"' in found.text
    assert "Epochs" in found.text and "0.weight" in found.text
    found = in_notebook(report)
    assert f"Tried: {report.findings[0].gain}." in found.text
    assert in_notebook(watched).all("img") == []


# ---- nets and gradient checks ----


def test_a_net_in_a_notebook():
    one = net()
    one.freeze("0.*")
    found = in_notebook(one)
    cells = [each.strip() for each in re.split(r"\n| {2,}", one.summary()) if each.strip()]
    assert re.sub(r"\s", "", found.text) == re.sub(r"\s", "", "".join(cells))
    assert {"class": "number"} in found.all("td")


def test_a_gradient_check_in_a_notebook():
    wrong = nn.CustomLoss(lambda z, t: ((z - t) ** 2).sum(axis=1), lambda z, t: 4 * (z - t))
    one = net(1)
    one.freeze("0.bias")
    checked = fastnn.check_gradients(one, X[:5] / 100, X[:5, :1], loss=wrong)
    found = in_notebook(checked)
    for block in checked.blocks:
        assert f"{block.name}{block.verdict}" in found.text
        assert block.hint in found.text
    assert "WRONG" in found.text and "times the numeric one" in found.text
    assert "left out, as they are frozen: 0.bias" in found.text


@pytest.mark.parametrize("slope", [2, 4])
def test_a_gradient_check_of_a_function_in_a_notebook(slope):
    checked = fastnn.check_gradient(lambda x: x**2, lambda x: slope * x, 2.0)
    found = in_notebook(checked)
    for line in str(checked).splitlines()[2:]:  # below the head and the row of the only block
        assert line in found.text
    assert f"relative error {checked.relative_error:.1e}: {'right' if slope == 2 else 'wrong'}" in found.text
    assert f"analytic   {2 * slope}" in found.text
    cells = re.findall("<t[dh][^>]*>(.*?)</t[dh]>", checked._repr_html_())
    assert len(cells) == 16
    assert cells == [each.strip() for each in cells]
