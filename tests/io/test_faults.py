"""Faults of the file system while a file is written: the old file stays as it was, and no temporary file is left."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from waiting import until

import fastnn
from fastnn import nn
from fastnn.io import _replacing
from fastnn.io._replacing import replacing
from fastnn.io._tensors import TensorFile, write_tensors

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
as_user = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do everything")
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can do this")


@pytest.fixture
def net():
    return nn.Sequential(nn.Dense(3, 2), seed=0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def written(path, text=b"new"):
    with replacing(path) as file:
        file.write(text)


# ---- paths ----


@pytest.mark.parametrize("made", [str, Path, os.fspath, lambda path: os.path.relpath(path)], ids=range(4))
def test_paths(net, path, made):
    net.save(made(path))
    assert fastnn.load(made(path)).layers == net.layers


@pytest.mark.parametrize("wrong", [3, 3.5, None, b"net.safetensors", ["x"], True, Path], ids=str)
def test_what_is_no_path(net, wrong):
    for call in (net.save, fastnn.load):
        with pytest.raises(TypeError, match=r"^path must be a path: a string or a pathlib.Path, got "):
            call(wrong)


class BytesPath:
    def __fspath__(self):
        return b"net.safetensors"


def test_a_path_of_bytes_within(net):
    for call in (net.save, fastnn.load):
        with pytest.raises(TypeError, match=r"^path must be a path: .* got bytes"):
            call(BytesPath())


@pytest.mark.parametrize("wrong", ["", "a\0b", "\0"], ids=repr)
def test_paths_that_name_nothing(net, wrong):
    for call in (net.save, fastnn.load):
        with pytest.raises(ValueError, match=r"^path must be the path of a file, got '"):
            call(wrong)


@posix
def test_a_path_that_cannot_be_encoded(net):
    for call in (net.save, fastnn.load):
        with pytest.raises(ValueError, match=r"^path must have characters that the file system has, got '\\ud800'"):
            call("\ud800")


@posix
def test_a_path_of_other_bytes(net, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    net.save(path)
    assert fastnn.load(path).layers == net.layers


@posix
@pytest.mark.parametrize("name", ["n" * 255, "\N{SNOWMAN}" * 85, "\U0001f600" * 63, "n" * 245 + ".safetens"], ids=len)
def test_long_names(net, tmp_path, name):
    for _ in range(2):
        net.save(tmp_path / name)
        assert names(tmp_path) == [name]


@posix
def test_a_name_that_is_too_long(net, tmp_path):
    for call in (net.save, fastnn.load):
        with pytest.raises(OSError, match=r"too long") as caught:
            call(tmp_path / ("n" * 256))
        assert caught.value.errno == errno.ENAMETOOLONG and "nnn" in str(caught.value.filename)
    assert not names(tmp_path)


def test_a_missing_file(path):
    with pytest.raises(FileNotFoundError) as caught:
        fastnn.load(path)
    assert caught.value.filename == str(path)


def test_a_missing_folder(net, tmp_path):
    path = tmp_path / "missing" / "net.safetensors"
    with pytest.raises(FileNotFoundError) as caught:
        net.save(path)
    assert caught.value.filename == str(path) and str(caught.value).endswith(f"{str(path)!r}")


def test_a_file_in_place_of_a_folder(net, tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    for call in (net.save, fastnn.load):
        with pytest.raises(OSError) as caught:
            call(tmp_path / "file" / "net.safetensors")
        assert caught.value.filename == str(tmp_path / "file" / "net.safetensors")


@pytest.mark.parametrize("ending", ["", os.sep, f"{os.sep}."])
def test_a_folder(net, tmp_path, ending):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"path must be the path of a file, got .*folder"):
        net.save(f"{tmp_path / 'folder'}{ending}")
    with pytest.raises(ValueError, match=r"folder.* must be a file, got a folder"):
        fastnn.load(f"{tmp_path / 'folder'}{ending}")
    with pytest.raises(ValueError, match=r"path must be the path of a file, got .*new/', that of a folder"):
        net.save(f"{tmp_path / 'new'}{os.sep}")
    assert names(tmp_path) == ["folder"] and not names(tmp_path / "folder")


def device_of(folder, kind):
    """Make something that is no file."""
    path = folder / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(path))  # such a path is short
    else:
        path.symlink_to(f"/dev/{kind}")
    return path


@posix
@pytest.mark.parametrize("kind", ["pipe", "socket", "null", "zero", "full"])
def test_pipes_and_devices(net, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = device_of(tmp_path, kind)
    before = path.stat()
    with pytest.raises(ValueError, match=r"path must be the path of a file, got .*, which is no file, but a device"):
        net.save(path)
    with pytest.raises(ValueError, match=r"must be a file, got a device, a pipe or the like"):
        fastnn.load(path)
    assert path.stat().st_mode == before.st_mode and path.stat().st_ino == before.st_ino
    assert names(tmp_path) == [kind]


@posix
def test_a_file_that_becomes_a_pipe(net, path, monkeypatch):
    """Between the check and the opening: it is not waited for."""
    net.save(path)
    status = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda self: status)
    with pytest.raises(ValueError, match=r"must be a file, got a device, a pipe or the like"):
        TensorFile(path)


# ---- links ----


@posix
def test_a_link_to_a_file_stays_one(net, tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "net.safetensors", tmp_path / "latest"
    target.write_bytes(b"old")
    link.symlink_to(Path("folder", "net.safetensors"))
    net.save(link)
    assert link.is_symlink() and fastnn.load(target).layers == fastnn.load(link).layers == net.layers
    assert names(tmp_path) == ["folder", "latest"] and names(target.parent) == ["net.safetensors"]


@posix
def test_a_link_to_nothing(net, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to("new")
    with pytest.raises(FileNotFoundError):
        fastnn.load(link)
    net.save(link)
    assert link.is_symlink() and fastnn.load(tmp_path / "new").layers == net.layers


@posix
def test_links_in_a_circle(net, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for call in (net.save, fastnn.load):
        with pytest.raises(OSError) as caught:
            call(tmp_path / "a")
        assert caught.value.errno == errno.ELOOP and caught.value.filename == str(tmp_path / "a")
    assert names(tmp_path) == ["a", "b"] and (tmp_path / "a").is_symlink()


@posix
def test_another_hard_link_keeps_the_old_file(net, path):
    path.write_bytes(b"old")
    other = path.with_name("other")
    os.link(path, other)
    net.save(path)
    assert other.read_bytes() == b"old" and fastnn.load(path).layers == net.layers


# ---- permissions ----


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o666, 0o755])
def test_permissions_are_kept(net, path, mode):
    path.write_bytes(b"old")
    path.chmod(mode)
    net.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o007])
def test_a_new_file_has_those_of_any_new_file(net, path, mask):
    before = os.umask(mask)
    try:
        net.save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


@posix
def test_the_temporary_file_of_a_private_one_is_private(path):
    path.write_bytes(b"old")
    path.chmod(0o600)
    with replacing(path):
        temporary = next(each for each in path.parent.iterdir() if each != path)
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600


@as_root
def test_the_owner_is_kept(net, path):
    path.write_bytes(b"old")
    os.chown(path, 12345, 54321)
    net.save(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


@as_user
def test_a_file_that_is_protected(net, path):
    path.write_bytes(b"old")
    path.chmod(0o400)
    with pytest.raises(PermissionError) as caught:
        net.save(path)
    assert caught.value.filename == str(path) and path.read_bytes() == b"old" and names(path.parent) == [path.name]


@as_user
def test_a_folder_that_is_protected(net, path):
    path.write_bytes(b"old")
    path.parent.chmod(0o500)
    try:
        for target in (path, path.with_name("new")):
            with pytest.raises(PermissionError) as caught:
                net.save(target)
            assert caught.value.filename == str(target)
    finally:
        path.parent.chmod(0o700)
    assert path.read_bytes() == b"old" and names(path.parent) == [path.name]


@pytest.fixture
def open_folder():
    """Return a folder that others may enter; pytest's are the user's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


AS_USER = """
import os, sys
import numpy as np
import fastnn
from fastnn import nn

net = nn.Sequential(nn.Dense(3, 2), seed=0)
folder = sys.argv[1]
net.save(os.path.join(folder, "first"))  # to import what it needs
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
for name in ("protected/net", "protected/new", "open/read_only", "open/unreadable"):
    path = os.path.join(folder, name)
    try:
        (fastnn.load if "unreadable" in name else net.save)(path)
    except PermissionError as error:
        assert error.filename == path, (name, error.filename)
    else:
        raise AssertionError(name)
net.save(os.path.join(folder, "unlisted", "new"))  # of a folder that may be written and not read
"""


@as_root
def test_what_is_protected_from_another_user(open_folder):
    tmp_path = open_folder
    for folder, mode in {"protected": 0o755, "open": 0o777, "unlisted": 0o333}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder).chmod(mode)
    for name, mode in {"protected/net": 0o644, "open/read_only": 0o444, "open/unreadable": 0o600}.items():
        (tmp_path / name).write_bytes(b"old")
        (tmp_path / name).chmod(mode)
    run(AS_USER, tmp_path)
    assert all((tmp_path / name).read_bytes() == b"old" for name in ("protected/net", "open/read_only"))
    assert [names(tmp_path / each) for each in ("protected", "open")] == [["net"], ["read_only", "unreadable"]]
    assert names(tmp_path / "unlisted") == ["new"]


def run(script, *arguments):
    """Run a script in a process of its own, and return what it prints."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- a full disk ----


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder in a file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(net, small_disk):
    path = small_disk / "net.safetensors"
    net.save(path)
    old = path.read_bytes()
    for size in (100, 250, 300, 2000):  # the file does not fit, or nothing at all does
        with pytest.raises(OSError, match=r"space") as caught:
            nn.Sequential(nn.Dense(size, 1000), seed=0).save(path)
        assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(path)
        assert str(caught.value).endswith(f"{str(path)!r}")
        assert path.read_bytes() == old and names(small_disk) == [path.name]
    (small_disk / "other").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096))
    with pytest.raises(OSError, match=r"space") as caught:
        net.save(path)
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(path)
    assert path.read_bytes() == old and names(small_disk) == [path.name, "other"]
    (small_disk / "other").unlink()
    net.save(path)
    assert fastnn.load(path).layers == net.layers


def test_a_disk_that_is_read_only(net, small_disk):
    path = small_disk / "net.safetensors"
    path.write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for target in (path, small_disk / "new"):
        with pytest.raises(OSError, match=r"[Rr]ead-only") as caught:
            net.save(target)
        assert caught.value.errno == errno.EROFS and caught.value.filename == str(target)
    assert path.read_bytes() == b"old" and names(small_disk) == [path.name]


LIMITED = """
import errno, pathlib, resource, sys
import fastnn
from fastnn import nn

path = pathlib.Path(sys.argv[1])
for limit in (0, 1, 500, 4096, 100_000, 399_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        nn.Sequential(nn.Dense(100, 1000), seed=0).save(path)
    except OSError as error:
        assert error.errno == errno.EFBIG and error.filename == str(path), error
    else:
        raise AssertionError(limit)
    assert path.read_bytes() == b"old" and list(path.parent.iterdir()) == [path]
"""


@posix
def test_a_limit_on_the_size_of_files(path):
    path.write_bytes(b"old")
    run(LIMITED, path)
    assert path.read_bytes() == b"old" and names(path.parent) == [path.name]


# ---- failures at each call ----


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("call", ["fsync", "utime", "replace", "fchmod", "block"])
def test_a_failure_leaves_the_old_file(path, monkeypatch, call, error):
    path.write_bytes(b"old")

    def fail(*arguments):
        raise error(*([errno.EIO, "Input/output error"] * (error is OSError)))

    if call == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    elif call in ("fsync", "utime"):
        monkeypatch.setattr(os, call, fail)
    elif call == "fchmod":
        monkeypatch.setattr(os, call, fail, raising=False)
        if error is OSError:  # of a file system without permissions, which is used all the same
            written(path)
            assert path.read_bytes() == b"new" and names(path.parent) == [path.name]
            return
    with pytest.raises(error) as caught, replacing(path) as file:
        fail() if call == "block" else file.write(b"new")
    if error is OSError:
        assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old" and names(path.parent) == [path.name]


@posix
@pytest.mark.parametrize(("number", "raised"), [(errno.EIO, True), (errno.EINVAL, False), (errno.ENOTSUP, False)])
def test_a_folder_that_cannot_be_synced(path, monkeypatch, number, raised):
    path.write_bytes(b"old")
    sync = os.fsync

    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    if raised:  # the new file is there, but may be lost if the power fails now
        with pytest.raises(OSError, match=r"error") as caught:
            written(path)
        assert caught.value.filename == str(path)
    else:
        written(path)
    assert path.read_bytes() == b"new" and names(path.parent) == [path.name]


@posix
def test_file_and_folder_are_synced(path, monkeypatch):
    calls, sync, replace = [], os.fsync, Path.replace

    def fsync(handle):
        calls.append(
            "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else f"file of {os.fstat(handle).st_size} bytes"
        )
        sync(handle)

    def noted(self, target):
        calls.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", noted)
    written(path, b"x" * 10)
    assert calls == ["file of 10 bytes", "replace", "folder"]


@pytest.mark.parametrize("wrong", [{"a": np.zeros(1, complex)}, {"__metadata__": np.zeros(1)}])
def test_what_cannot_be_written_leaves_the_old_file(path, wrong):
    path.write_bytes(b"old")
    with pytest.raises((TypeError, ValueError)):
        write_tensors(path, wrong, {})
    assert path.read_bytes() == b"old" and names(path.parent) == [path.name]


INTERRUPTED = """
import pathlib, signal, sys, threading, time, os
import fastnn
from fastnn import nn

path, delays = pathlib.Path(sys.argv[1]), map(float, sys.argv[2:])
net = nn.Sequential(nn.Dense(300, 300), seed=0)
net.save(path)
interrupted = 0
for delay in delays:
    timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        end = time.monotonic() + 30
        while time.monotonic() < end:
            net.save(path)
    except KeyboardInterrupt:
        interrupted += 1
    timer.join()
    assert list(path.parent.iterdir()) == [path], list(path.parent.iterdir())
    fastnn.load(path)
print(interrupted)
"""


@posix
def test_interrupts(path):
    delays = np.random.default_rng(0).uniform(0, 0.02, 60)
    assert int(run(INTERRUPTED, path, *delays)) == len(delays)


# ---- several writers and readers ----


def test_threads_that_write_one_path(path):
    nets = [nn.Sequential(nn.Dense(n, 50), seed=0) for n in (10, 200, 1000)]
    nets[0].save(path)
    errors, seen = [], set()

    def repeat(call):
        try:
            for _ in until(1, lambda: errors or len(seen) > 1):
                call()
        except BaseException as error:  # noqa: BLE001 - the main thread shows it
            errors.append(error)

    calls = [lambda net=net: net.save(path) for net in nets] + [lambda: seen.add(fastnn.load(path).in_features)] * 2
    threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(seen) > 1 and seen <= {10, 200, 1000}
    assert names(path.parent) == [path.name]


WRITER = """
import sys, time
from fastnn import nn

net = nn.Sequential(nn.Dense(int(sys.argv[2]), 50), seed=0)
print("ready", flush=True)
while True:
    net.save(sys.argv[1])
"""


@posix
def test_processes_that_are_killed_while_they_write_one_path(path, monkeypatch):
    writers = []
    for n in (10, 1000):
        command = [sys.executable, "-c", WRITER, str(path), str(n)]
        writers.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    try:
        for each in writers:
            assert each.stdout.readline() == b"ready\n"
        seen = set()
        for _ in until(1, lambda: len(seen) > 1):
            if path.exists():
                seen.add(fastnn.load(path).in_features)
    finally:
        for each in writers:
            each.send_signal(signal.SIGKILL)
            each.wait()
            each.stdout.close()
    assert seen == {10, 1000}
    fastnn.load(path)
    monkeypatch.setattr(_replacing, "_ABANDONED_AFTER", -1.0)
    written(path)  # removes what the killed ones may have left
    assert names(path.parent) == [path.name]


# ---- temporary files that were left ----


def left(path, age=3600.0, name=""):
    """Make what a killed process leaves, and return its path."""
    made = path.with_name(name or f".{path.name[:24]}.0123456789ab.tmp")
    made.write_bytes(b"left")
    os.utime(made, (time.time() - age,) * 2)
    return made


@posix
def test_a_temporary_file_that_was_left_is_removed(path):
    made = left(path)
    written(path)
    assert not made.exists() and names(path.parent) == [path.name]


@posix
def test_other_files_are_not_removed(path):
    kept = [
        left(path, age=10.0),  # perhaps of a process that has not locked it yet
        left(path, name=f".{path.name}.0123456789ab.txt"),
        left(path, name=f".{path.name}.0123456789abc.tmp"),
        left(path, name=f"{path.name}.0123456789ab.tmp"),
        left(path, name=".other.0123456789ab.tmp"),
    ]
    folder = path.with_name(f".{path.name}.ffffffffffff.tmp")
    folder.mkdir()
    link = path.with_name(f".{path.name}.aaaaaaaaaaaa.tmp")
    link.symlink_to(kept[-1])
    os.utime(link, (0, 0), follow_symlinks=False)
    written(path)
    assert all(each.exists() for each in [*kept, folder, link])


@posix
def test_the_temporary_file_of_a_writer_at_work_is_not_removed(path):
    with replacing(path) as file:
        file.write(b"first")
        file.flush()
        temporary = next(path.parent.iterdir())
        os.utime(temporary, (0, 0))  # as if this took long
        written(path, b"second")
        assert temporary.exists()
    assert path.read_bytes() == b"first" and names(path.parent) == [path.name]


# ---- files that change while they are read ----


def test_a_file_that_is_cut_while_it_is_read(path):
    write_tensors(path, {"a": np.arange(1000.0), "b": np.arange(10.0)}, {})
    with TensorFile(path) as file:
        with path.open("r+b") as other:
            other.truncate(path.stat().st_size - 400)
        with pytest.raises(ValueError, match=r"net.safetensors must (have .* bytes, got fewer|be left as it is)"):
            file.read("b")


def test_a_file_that_is_changed_while_it_is_read(path):
    write_tensors(path, {"a": np.arange(1000.0)}, {})
    with TensorFile(path) as file:
        with path.open("r+b") as other:
            other.seek(-8, os.SEEK_END)
            other.write(bytes(8))
        os.utime(path, (1, 1))
        with pytest.raises(
            ValueError, match=r"must be left as it is while it is read, got a change by another program"
        ):
            file.read("a")


@posix
def test_a_file_that_is_replaced_while_it_is_read(path):
    write_tensors(path, {"a": np.arange(5.0)}, {})
    with TensorFile(path) as file:
        write_tensors(path, {"a": np.zeros(5)}, {})
        assert file.read("a").tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]  # the old file, in whole


def test_files_are_closed(net, path):
    net.save(path)
    with TensorFile(path) as file:
        handle = file._file
    assert handle.closed
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match=r"must be a safetensors file"):
        fastnn.load(path)  # an open file would be a ResourceWarning, and so an error
    path.unlink()


def test_temporary_files_of_several_targets_are_removed(tmp_path):
    """Those of a name that the caller knows, at any age, but none that a process has locked."""
    mine = [".checkpoint-000004.safet.0123456789ab.tmp", ".best.safetensors.0123456789ab.tmp"]
    others = [".model.safetensors.0123456789ab.tmp", ".best.safetensors.0123.tmp", "best.tmp", "best.safetensors"]
    for name in (*mine, *others):
        (tmp_path / name).write_bytes(b"x")
    _replacing.remove_abandoned(tmp_path, lambda name: name.startswith(("checkpoint-", "best.")))
    assert names(tmp_path) == sorted([*mine, *others])
    with replacing(tmp_path / "best.2") as file:
        file.write(b"x")
        _replacing.remove_abandoned(tmp_path, lambda name: name.startswith(("checkpoint-", "best.")), 0.0)
        left = set(names(tmp_path))
    assert names(tmp_path) == sorted([*others, "best.2"])
    assert len(left - set(others)) == 1
