"""The choice of backend and number of threads: environment variables, contexts and threadpoolctl."""

import contextvars
import math
import os
import shutil
import subprocess
import sys
import threading

import pytest

import fastnn
from fastnn import _config, _context, _native


def python(code, **environment):
    """Run code in a fresh interpreter and return what it printed, or its error."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("FASTNN_", "OMP_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=keep | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


@pytest.fixture(autouse=True)
def restore():
    """Leave the defaults as they were."""
    settings = (_config._backend, _config._num_threads)
    before = [setting._default for setting in settings]
    yield
    for setting, default in zip(settings, before, strict=True):
        setting.set_default(default)


def test_backend_default():
    code = "import fastnn; print(fastnn.get_backend())"
    assert python(code) == "native"
    assert python(code, FASTNN_BACKEND="reference") == "reference"
    message = (
        "ValueError: FASTNN_BACKEND must be one of native, reference, got 'cuda': "
        "set FASTNN_BACKEND=reference for the NumPy backend"
    )
    assert python(code, FASTNN_BACKEND="cuda") == message


def test_backend_contexts_nest_and_end():
    fastnn.set_backend("native")
    with fastnn.backend("reference"):
        assert fastnn.get_backend() == "reference"
        with fastnn.backend("native"):
            assert fastnn.get_backend() == "native"
        fastnn.set_backend("native")
        assert fastnn.get_backend() == "reference"
    assert fastnn.get_backend() == "native"
    fastnn.set_backend("reference")
    assert fastnn.get_backend() == "reference"
    with pytest.raises(RuntimeError), fastnn.backend("native"):
        raise RuntimeError
    assert fastnn.get_backend() == "reference"


@pytest.mark.parametrize("set_it", [fastnn.backend, fastnn.set_backend])
def test_backend_is_checked(set_it):
    fix = rf'write {set_it.__name__}\("reference"\) for the NumPy backend$'
    for wrong in ("numpy", "gpu"):
        with pytest.raises(ValueError, match=rf"^name must be one of native, reference, got '{wrong}': {fix}"):
            set_it(wrong)
    with pytest.raises(TypeError, match=rf"^name must be one of native, reference, got None: {fix}"):
        set_it(None)


@pytest.mark.parametrize("set_it", [fastnn.num_threads, fastnn.set_num_threads])
def test_num_threads_is_checked(set_it):
    for wrong in (0, -1, 2**31):
        with pytest.raises(ValueError, match=f"^n must be an integer from 1 to .*, got {wrong}"):
            set_it(wrong)
    for wrong in (1.0, "1", None, True):
        with pytest.raises(TypeError, match=r"^n must be an integer"):
            set_it(wrong)


def test_num_threads_contexts_are_local():
    """A thread has its own context, with the default; a copied context has the choice of the original."""
    fastnn.set_num_threads(5)
    seen = []
    with fastnn.num_threads(2):
        thread = threading.Thread(target=lambda: seen.append(fastnn.get_num_threads()))
        thread.start()
        thread.join()
        copied = contextvars.copy_context()
        assert fastnn.get_num_threads() == 2
    assert copied.run(fastnn.get_num_threads) == 2
    assert fastnn.get_num_threads() == 5
    # A new thread's context is empty or, with some settings of the interpreter, a copy of its parent's.
    assert seen == [2 if getattr(sys.flags, "thread_inherit_context", False) else 5]


def test_num_threads_from_the_environment():
    code = "import fastnn; print(fastnn.get_num_threads())"
    most = int(python(code))
    assert 1 <= most <= os.cpu_count()
    assert python(code, FASTNN_NUM_THREADS="1") == "1"
    assert python(code, FASTNN_NUM_THREADS="100") == str(most)
    assert python(code, OMP_NUM_THREADS="1") == "1"
    assert python(code, OMP_NUM_THREADS="1,4") == "1"
    assert python(code, OMP_NUM_THREADS="many") == str(most)
    assert python(code, OMP_NUM_THREADS="1", FASTNN_NUM_THREADS="2") == str(min(2, most))
    for wrong in ("0", "-1", "two", "2.5"):
        assert python(code, FASTNN_NUM_THREADS=wrong).startswith(
            "ValueError: FASTNN_NUM_THREADS must be an integer from 1 to 2147483647, got "
        )


@pytest.mark.parametrize("name", ["FASTNN_NUM_THREADS", "OMP_NUM_THREADS"])
def test_numbers_of_threads_that_are_too_large(name):
    """Python does not convert more than 4300 digits, and its error would not name the variable."""
    default = _config._default_num_threads
    for digits in ("2147483648", "9" * 40, "1" * 4301, "9" * 5000, "1" + "0" * 100_000):
        with pytest.raises(ValueError, match=f"^{name} must be an integer from 1 to 2147483647, got ") as error:
            default({name: digits})
        assert len(str(error.value)) < 200
    for one in ("1", "01", "0" * 5000 + "1", "1,4"):
        if name == "OMP_NUM_THREADS" or one.isdecimal():
            assert default({name: one}) == 1
    assert default({name: "2147483647"}) == default({})
    code = "import fastnn; fastnn.kernels.relu([1.0])"
    assert python(code, **{name: "1" * 5000}).startswith(f"ValueError: {name} must be an integer from 1 to")


@pytest.mark.parametrize("name", ["FASTNN_BACKEND", "FASTNN_ISA", "FASTNN_NUM_THREADS"])
def test_messages_shorten_long_values(name):
    code = "import fastnn; fastnn.kernels.relu([1.0])"
    message = python(code, **{name: "x" * 5000})
    assert name in message
    assert len(message) < 600


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no CPU affinity")
def test_num_threads_respects_affinity():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    assert python(code + "import fastnn; print(fastnn.get_num_threads())") == "1"


def group(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {}, math.inf),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n", "cpu.max": "max 1\n"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "200000 100000\n"}, 0.5),
        (
            "5:memory:/m\n4:cpu,cpuacct:/c\n0::/\n",
            {"cpu,cpuacct/c/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/c/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n"}, math.inf),
        ("0::/\n", {"cpu.max": "nonsense\n"}, math.inf),
        ("0::/\n", {"cpu.max": "1" * 5000 + " 100000\n"}, math.inf),
        ("0::/\n", {"cpu.max": "1" * 4000 + " 1\n"}, math.inf),
        ("0::/\n", {"cpu.max": "100000 " + "1" * 5000}, math.inf),
        ("0::/\n", {"cpu.max": "100000 0\n"}, math.inf),
        ("0::/a\n", {"a/cpu.max": "1" * 5000 + " 1\n", "cpu.max": "200000 100000\n"}, 2),
        ("nonsense\n", {"cpu.max": "200000 100000\n"}, math.inf),
        ("0::relative\n", {"cpu.max": "200000 100000\n"}, math.inf),
        ("0::/\udcff\n", {"\udcff/cpu.max": "200000 100000\n"}, 2),
    ],
)
def test_cgroup_quota(membership, files, quota, tmp_path, monkeypatch):
    (tmp_path / "membership").write_bytes(os.fsencode(membership))
    root = group(tmp_path / "root", files)
    assert _config._cgroup_quota(root, str(tmp_path / "membership")) == quota
    monkeypatch.setattr(_config, "_cgroup_quota", lambda: quota)
    monkeypatch.setattr(_config, "_affinity", lambda: 4)
    assert _config._default_num_threads({}) == max(1, min(4, int(min(quota, 4))))


def test_no_cgroups_at_all(tmp_path):
    assert _config._cgroup_quota(str(tmp_path), str(tmp_path / "none")) == math.inf


def test_before_threads_is_called_once():
    """By every way to read a number above 1, and not for 1."""
    for read in ("s.get()", "kernels.relu(x)"):
        code = f"""
import numpy as np, fastnn
from fastnn import _context, kernels
called, x = [], np.ones(2)
s = fastnn._config._num_threads
s.before_threads = lambda: called.append(s.get())
for n in (1, 2, 3, 1):
    with fastnn.num_threads(n):
        {read}
        print(n, called, end="; ")
print(s.before_threads)
"""
        assert python(code) == "1 []; 2 [2]; 3 [2]; 1 [2]; None", read


def test_settings():
    found = []
    setting = _context.Setting("name", lambda: found.append(1) or "default")
    assert [setting.get(), setting.get(), len(found)] == ["default", "default", 1]
    setting.set_default("other")
    with setting.override("override"):
        assert setting.get() == "override"
        setting.set_current("current")
        assert setting.get() == "current"
    assert setting.get() == "other"
    setting.set_current("current")
    assert contextvars.Context().run(setting.get) == "current"
    setting.set_default(None)
    assert [setting.get(), len(found)] == ["default", 2]


def test_only_settings_are_shared():
    """Compiled code reads their fields without a check."""
    for wrong in ((None, _config._num_threads), (_config._backend, None), ("native", 1)):
        with pytest.raises(TypeError):
            _context.share(*wrong)
    assert fastnn.kernels.relu([1.0]) == [1.0]


CHECK_THREADPOOLCTL = """
info = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "fastnn"]
assert len(info) == 1, info
assert info[0]["num_threads"] == 3 and info[0]["version"] == fastnn.__version__, info
with threadpoolctl.threadpool_limits(1):
    print(fastnn.get_num_threads(), end=" ")
print(fastnn.get_num_threads(), end=" ")
with fastnn.num_threads(2):
    with threadpoolctl.threadpool_limits(1, user_api="fastnn"):
        print(fastnn.get_num_threads(), end=" ")
    print(fastnn.get_num_threads(), end=" ")
print(fastnn.get_num_threads())
"""


def test_threadpoolctl_imported_before_fastnn():
    code = "import threadpoolctl, fastnn; fastnn.set_num_threads(3); fastnn.kernels.relu([1.0])" + CHECK_THREADPOOLCTL
    assert python(code) == "1 3 1 2 3"


def test_threadpoolctl_imported_after_a_call_on_threads():
    code = "import fastnn, sys; fastnn.set_num_threads(3); assert 'threadpoolctl' not in sys.modules\n"
    code += "fastnn.kernels.relu([1.0]); import threadpoolctl" + CHECK_THREADPOOLCTL
    assert python(code) == "1 3 1 2 3"


def test_one_thread_does_not_import_threadpoolctl():
    code = "import fastnn, sys; fastnn.set_num_threads(1); fastnn.kernels.relu([1.0])\n"
    assert python(code + "print('threadpoolctl' in sys.modules)") == "False"


def test_threadpoolctl_may_be_missing():
    code = "import sys; sys.modules['threadpoolctl'] = None; import fastnn; fastnn.set_num_threads(2)\n"
    assert python(code + "print(fastnn.kernels.relu([-1.0]))") == "[0.]"


def test_another_library_of_the_same_name_is_ignored(tmp_path):
    """A shared library of another package may have the same file name."""
    copy = shutil.copy(_native.__file__, tmp_path)
    code = (
        f"import ctypes; other = ctypes.CDLL({str(copy)!r}); import threadpoolctl, fastnn; fastnn.set_num_threads(3)\n"
    )
    assert python(code + "fastnn.kernels.relu([1.0])" + CHECK_THREADPOOLCTL) == "1 3 1 2 3"
