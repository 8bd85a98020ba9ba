"""Fits that are killed at random times, in short: the whole is `make kills`."""

import pytest
from trainer_files import Crash, crash_in_write, kills


@pytest.fixture(scope="module")
def summary():
    """Six kills, after epochs and within them, of three configurations."""
    names = ["EMA, early stopping, plateau, CSV", "a callback with a state", "momentum, one cycle, accumulation"]
    return kills.run(6, 2, names=names)


def test_resumed_fits_have_the_bits_of_fits_that_were_not_killed(summary):
    assert summary.mismatches == []
    assert summary.kills == 6
    assert 2 <= summary.fits <= 6
    assert summary.resumes + summary.before_the_first >= summary.fits


def test_every_file_loads_after_each_kill(summary):
    assert summary.not_loaded == []
    assert summary.files >= summary.kills - summary.before_the_first


# ---- the tool finds what it looks for ----

NAME = "a callback with a state"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a fit that has ended before its time."""
    with monkeypatch.context() as patch:
        crash_in_write(patch, 3)
        with pytest.raises(Crash):
            kills.train(NAME, tmp_path, within=False)
    return tmp_path


def test_it_finds_a_state_that_is_not_kept(folder, tmp_path_factory, monkeypatch):
    wanted = kills.train(NAME, tmp_path_factory.mktemp("whole"), within=False)
    monkeypatch.setattr(kills.Recorder, "on_resume", lambda self, trainer, state: None)
    found = kills.train(NAME, folder, within=False)
    assert "trainer.history.2.recorded" in kills.differences(found, wanted)
    assert kills.differences(wanted, wanted) == ""


@pytest.mark.parametrize("name", ["best.safetensors", "checkpoint-000003.safetensors"])
def test_it_finds_a_file_that_does_not_load(name, folder):
    found = kills.Summary()
    kills.inspect(NAME, folder, found, "a kill")
    assert (found.files, found.not_loaded, found.failed) == (3, [], False)
    path = folder / "files" / name
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-1])
    kills.inspect(NAME, folder, found, "a kill")
    assert found.failed
    assert all(f"a kill: {name}" in each for each in found.not_loaded)


def test_it_counts_what_a_kill_has_left(folder):
    found = kills.Summary()
    (folder / "files" / ".checkpoint-000004.safet.0123456789ab.tmp").write_bytes(b"")
    kills.inspect(NAME, folder, found, "a kill")
    assert (found.while_writing, found.within_epochs, found.before_the_first) == (1, 0, 0)
    kills.inspect(NAME, folder / "nowhere", found, "a kill")
    assert (found.while_writing, found.before_the_first) == (1, 1)
