"""Files of this version stay readable: every file of tests/data/files loads, and predicts what was stored beside it.

`tools/samples.py` has written them, and says what to do when the writer changes.
"""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import _records, nn
from tests import model_files
from tests.registered import register

FOLDER = Path(__file__).resolve().parents[1] / "data" / "files"
PATHS = sorted(FOLDER.glob("*.safetensors"))
MOST_BYTES = 300_000  # of all together

# What reads each kind of file.
LOADERS = {
    "net": fastnn.load,
    "ensemble": fastnn.Ensemble.load,
    "trainer": lambda path: fastnn.Trainer.load(path, largest=largest),
    "checkpoint": fastnn.Trainer.load,
}


def largest(y, output):
    return float(abs(output).max())


@pytest.fixture
def samples(monkeypatch):
    """Register what the samples name, and return the module that has written them."""
    if not (FOLDER.parents[2] / "tools").is_dir():
        pytest.skip("this test needs the checkout")
    made = importlib.import_module("tools.samples")
    register(monkeypatch, **made.REGISTERED)
    return made


def kind_of(path):
    return model_files.read(path)[0]["fastnn.kind"]


def close(dtype):
    """Return how near predictions are, whatever the instruction set is."""
    return {"rtol": 2e-5, "atol": 2e-6} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-12}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_sample_loads_and_predicts(path, samples, impl):
    made = LOADERS[kind_of(path)](path)
    stored = json.loads(path.with_suffix(".json").read_text())
    predictions = np.asarray(made.predict(np.array(stored["X"], np.float64)))
    nets = getattr(made, "members", [made])
    nets = [getattr(net, "net", net) for net in nets]
    dtype = np.float32 if any(getattr(net, "dtype", None) == np.float32 for net in nets) else np.float64
    np.testing.assert_allclose(predictions, stored["predictions"], **close(dtype))
    assert np.isfinite(predictions.astype(np.float64)).all()


@pytest.mark.parametrize("path", [path for path in PATHS if path.stem != "checkpoint"], ids=lambda path: path.stem)
def test_what_was_loaded_is_saved_as_it_was(path, samples, tmp_path):
    LOADERS[kind_of(path)](path).save(tmp_path / "again")
    assert model_files.without_version(tmp_path / "again") == model_files.without_version(path)


def test_the_fit_of_the_checkpoint_is_finished(samples, tmp_path):
    data, path = (samples.ROWS_OF_FIT, samples.TARGETS_OF_FIT), tmp_path / "checkpoint.safetensors"
    path.write_bytes((FOLDER / path.name).read_bytes())
    callback = type("EndsWithinAnEpoch", (fastnn.Callback,), {"__module__": "tools.samples"})()
    resumed = fastnn.Trainer.resume(path, *data, callbacks=[callback], verbose=0)
    assert resumed.history["loss"] == [1.0, 1.0, 1.0] and resumed.step_count == 9


def test_todays_writer_writes_the_same(samples, tmp_path):
    for name, (make, rows) in samples.SAMPLES.items():
        make().save(tmp_path / "now")
        assert model_files.without_version(tmp_path / "now") == model_files.without_version(
            FOLDER / f"{name}.safetensors"
        )
        stored = json.loads((FOLDER / f"{name}.json").read_text())
        np.testing.assert_array_equal(np.array(stored["X"], np.float64), rows)


def test_samples_are_not_overwritten(samples, monkeypatch):
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    monkeypatch.setattr("sys.argv", ["samples"])
    monkeypatch.setattr(samples, "REGISTERED", {})
    with pytest.raises(
        SystemExit, match=r"^net-table.safetensors, .* exist already: samples stay as they were written"
    ):
        samples.main()
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before


def test_the_samples_are_complete():
    """Every kind of layer is in one, every kind of scaler, both dtypes and frozen parameters."""
    texts = {path.stem: model_files.read(path)[0]["fastnn.content"] for path in PATHS}
    everything = "".join(texts.values())
    kinds = {name for name, kind in _records.kinds().items() if issubclass(kind, nn.Layer)} - {"nn.CustomActivation"}
    kinds |= {"data.Scaler", "data.RobustScaler", "data.QuantileScaler", "nn.activation", "nn.Sequential"}
    assert not [kind for kind in kinds if f'"kind":"{kind}"' not in everything]
    for part in ('"dtype":"float32"', '"dtype":"float64"', '"frozen":["0.weight"'):
        assert part in everything
    assert '"output_scaler":{"kind":"data.Scaler"' in everything
    assert {kind_of(path) for path in PATHS} == set(LOADERS)


def test_the_folder_has_a_pair_for_each_sample_and_is_small():
    assert len(PATHS) >= 9
    assert {path.name for path in FOLDER.iterdir()} == {
        f"{path.stem}{end}" for path in PATHS for end in (".safetensors", ".json")
    }
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES
