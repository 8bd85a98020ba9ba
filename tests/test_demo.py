"""The demo: its data and figures, its messages when something is missing, its accuracy and its bits."""

import gzip
import importlib.util
import json
import re
import struct
import sys

import numpy as np
import pytest

import fastnn
from fastnn import __main__, demo

PEERS = ["reference", *(["scikit-learn"] if importlib.util.find_spec("sklearn") else [])]


def write_idx(path, array):
    """Write bytes as an IDX file, compressed if the name says so."""
    data = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def pictures(rng, count):
    """Return noisy 8 x 8 images of ten classes, each with a bright row or column."""
    y = rng.integers(0, 10, count)
    x = rng.integers(0, 160, (count, 8, 8))
    for image, label in zip(x, y, strict=True):
        line = image[label] if label < 5 else image[:, label - 5]
        line += 95
    return x.astype(np.uint8), y.astype(np.uint8)


@pytest.fixture
def data(tmp_path):
    """Return a folder with four small IDX files, two of them compressed."""
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for name, array in zip(demo.FILES, (*pictures(rng, 1000), *pictures(rng, 300)), strict=True):
        write_idx(folder / (name if "labels" in name else f"{name}.gz"), array)
    return folder


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """Hide Fashion-MNIST, which may be installed."""
    monkeypatch.setattr(demo, "DEBIAN", tmp_path / "none")


def command(capsys, *arguments):
    """Run the demo. Return its output without the JSON line, and the figures of the JSON line."""
    assert __main__.main(["demo", "--json", *map(str, arguments)]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    return "\n".join(lines), json.loads(last)


def failure(capsys, *arguments):
    """Run the demo, which must fail, and return its message."""
    with pytest.raises(SystemExit) as end:
        __main__.main(["demo", *map(str, arguments)])
    assert end.value.code == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return message


def test_figures_of_all_trainings(capsys, data, tmp_path):
    text, figures = command(
        capsys, "--data", data, "--epochs", 5, "--peer-epochs", 2, "--batch-size", 50, "--out", tmp_path / "l.png"
    )
    assert figures["data"] == "pictures"
    assert (figures["rows"], figures["test_rows"], figures["batch_size"]) == (1000, 300, 50)
    assert figures["net"] == [64, 256, 128, 10]
    assert (figures["dtype"], figures["optimizer"]) == ("float32", "adam")
    results = {result["name"]: result for result in figures["results"]}
    assert list(results) == ["native", *PEERS]
    assert [result["epochs"] for result in figures["results"]] == [5] + [2] * len(PEERS)
    for name, result in results.items():
        assert len(result["loss"]) == result["epochs"]
        assert result["loss"][-1] < result["loss"][0]
        ratio = result["seconds_per_epoch"] / results["native"]["seconds_per_epoch"]
        assert result["native_speed_up"] == ratio
        shown = re.search(rf"^{name} +(\d+) +([\d.]+) +(\S+) *(\S*)$", text, re.MULTILINE).groups()
        expected = (str(result["epochs"]), f"{result['test_accuracy']:.4f}", f"{result['seconds_per_epoch']:.3g}")
        assert shown == (*expected, "" if name == "native" else f"{ratio:.1f}x")
    assert results["native"]["test_accuracy"] > 0.9
    # The reference starts from the same weights and takes the rows in the same order.
    np.testing.assert_allclose(results["reference"]["loss"], results["native"]["loss"][:2], rtol=1e-4)
    np.testing.assert_allclose(results["reference"]["test_loss"], results["native"]["test_loss"][:2], rtol=1e-3)


def test_bits_do_not_depend_on_threads(capsys, data, tmp_path):
    options = ["--data", data, "--epochs", 2, "--peer-epochs", 0, "--out", tmp_path / "loss.png"]
    runs = [command(capsys, *options, "--threads", threads)[1] for threads in (1, 2, 3)]
    assert [figures["config"]["threads"] for figures in runs] == [1, 2, 3]
    assert len({figures["parameters_sha256"] for figures in runs}) == 1
    assert (
        runs[0]["results"][0]["test_loss"] == runs[1]["results"][0]["test_loss"] == runs[2]["results"][0]["test_loss"]
    )
    assert runs[0]["parameters_sha256"] != command(capsys, *options, "--batch-size", 64)[1]["parameters_sha256"]


def test_digits(capsys, no_data, tmp_path):
    pytest.importorskip("sklearn")
    _, figures = command(capsys, "--peer-epochs", 0, "--out", tmp_path / "loss.png")
    assert (figures["data"], figures["rows"] + figures["test_rows"]) == ("digits", 1797)
    assert figures["net"] == [64, 64, 32, 10]
    (native,) = figures["results"]
    assert native["test_accuracy"] > 0.93


def test_training_and_test_digits_are_distinct():
    pytest.importorskip("sklearn")
    task = demo.load_digits()
    rows = np.concatenate([task.x, task.x_test])
    assert rows.shape == (1797, 64)
    assert rows.max() == task.white
    known = {row.tobytes() for row in task.x}
    assert sum(row.tobytes() in known for row in task.x_test) == 0


def test_image_of_the_losses(capsys, data, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "loss.png"
    text, _ = command(capsys, "--data", data, "--epochs", 2, "--peer-epochs", 1, "--out", path)
    assert str(path) in text
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert path.stat().st_size > 5000


def test_image_that_cannot_be_written(capsys, data, tmp_path):
    pytest.importorskip("matplotlib")
    text, figures = command(capsys, "--data", data, "--epochs", 1, "--peer-epochs", 0, "--out", tmp_path)
    assert "The image could not be written" in text
    assert figures["results"]


def test_missing_extras_are_named(capsys, data, tmp_path, monkeypatch):
    for module in ("sklearn.neural_network", "matplotlib.figure", "threadpoolctl"):
        monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / "loss.png"
    text, figures = command(capsys, "--data", data, "--epochs", 1, "--peer-epochs", 1, "--out", path)
    assert [result["name"] for result in figures["results"]] == ["native", "reference"]
    assert f"scikit-learn is not installed, so it is not compared: {demo.INSTALL}" in text
    assert f"matplotlib is not installed, so there is no image of the losses: {demo.INSTALL}" in text
    assert not path.exists()


def test_neither_data_nor_digits(capsys, no_data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    message = failure(capsys, "--out", tmp_path / "loss.png")
    assert message.startswith(f"fastnn demo: {demo.DEBIAN} must contain the four IDX files, got none: ")
    assert demo.INSTALL in message
    assert "--data" in message


def _remove(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    return "pictures must contain the four IDX files, with or without .gz, got no t10k-labels-idx1-ubyte\n"


def _cut(folder):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    return "train-images-idx3-ubyte.gz must be an intact gzip file, got a damaged one"


def _no_idx(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(b"labels")
    return "train-labels-idx1-ubyte must begin with two bytes 0, "


def _fewer_labels(folder):
    write_idx(folder / "train-labels-idx1-ubyte", np.zeros(999, np.uint8))
    return "pictures must contain images, and one label for each, got arrays of shape (1000, 8, 8) and (999,)"


def _no_rows(folder):
    write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros(0, np.uint8))
    write_idx(folder / "t10k-images-idx3-ubyte.gz", np.zeros((0, 8, 8), np.uint8))
    return "pictures must contain images, and one label for each, got arrays of shape (0, 8, 8) and (0,)"


def _other_size(folder):
    write_idx(folder / "t10k-images-idx3-ubyte.gz", np.zeros((300, 8, 7), np.uint8))
    return "pictures must contain images of one size, got 64 and 56 pixels"


def _wide_labels(folder):
    data = bytes([0, 0, 0x0B, 1]) + struct.pack(">I", 300) + bytes(600)
    (folder / "t10k-labels-idx1-ubyte").write_bytes(data)
    return "pictures must contain images and labels of dtype uint8, got uint8 and int16"


@pytest.mark.parametrize("damage", [_remove, _cut, _no_idx, _fewer_labels, _no_rows, _other_size, _wide_labels])
def test_damaged_data_are_an_error(capsys, data, tmp_path, damage):
    expected = damage(data)
    message = failure(capsys, "--data", data, "--out", tmp_path / "loss.png")
    assert message.startswith("fastnn demo: ")
    assert expected in message


def test_out_in_a_missing_folder_is_an_error_at_once(capsys, data, tmp_path):
    path = tmp_path / "none" / "loss.png"
    message = failure(capsys, "--data", data, "--out", path)
    assert f"--out must be a file in a folder that exists, got {path}" in message


@pytest.mark.parametrize("option", ["--epochs", "--batch-size", "--threads"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "99999999999"])
def test_numbers_are_checked(capsys, option, value):
    with pytest.raises(SystemExit) as end:
        __main__.main(["demo", f"{option}={value}"])
    assert end.value.code == 2
    assert f"argument {option}: N must be an integer from 1 to 2147483647, got '{value}'" in capsys.readouterr().err


def test_numbers_that_python_does_not_convert_are_an_error(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["demo", "--epochs=" + "1" * 5000])
    message = capsys.readouterr().err
    assert "argument --epochs: N must be an integer from 1 to 2147483647, got '111" in message
    assert len(message) < 2000


def test_interrupt_ends_the_demo_quietly(capsys, monkeypatch, data, tmp_path):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(fastnn.Trainer, "fit", interrupt)
    with pytest.raises(SystemExit) as end:
        __main__.main(["demo", "--data", str(data), "--out", str(tmp_path / "loss.png")])
    assert end.value.code == 130
    assert "stopped" in capsys.readouterr().err


@pytest.mark.slow
def test_fashion_mnist(capsys, tmp_path):
    """The demo's accuracy, and the same bits with one thread and two."""
    if not all(demo.find(demo.DEBIAN, name) for name in demo.FILES):
        pytest.skip(f"Fashion-MNIST is not in {demo.DEBIAN}; Debian's package dataset-fashion-mnist puts it there")
    options = ["--peer-epochs", 0, "--out", tmp_path / "loss.png"]
    runs = [command(capsys, *options, "--threads", threads)[1] for threads in (1, 2)]
    for figures in runs:
        assert (figures["rows"], figures["net"], figures["batch_size"]) == (60_000, [784, 256, 128, 10], 128)
        (native,) = figures["results"]
        assert native["epochs"] == 10
        assert native["test_accuracy"] >= 0.88
    assert runs[0]["parameters_sha256"] == runs[1]["parameters_sha256"]
    assert runs[0]["results"][0]["test_accuracy"] == runs[1]["results"][0]["test_accuracy"]
