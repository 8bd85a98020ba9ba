"""Builds the compiled parts: one static library per ISA level, linked into fastnn._native, and the Cython extensions.

FASTNN_DEBUG=1 compiles for a debugger; FASTNN_WERROR=1 makes the warnings of csrc errors.
An object file is not rebuilt when flags change: run `make clean` when either variable, or CFLAGS, changes.
"""

import os
import sys
import sysconfig
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("FASTNN_DEBUG") == "1"
WERROR = os.environ.get("FASTNN_WERROR") == "1"

CSRC = Path("csrc")
ISA_TABLE = CSRC / "isa" / "levels.toml"

# By machine: the levels and the flags of their units. The first level's flags are those of every other file too.
MACHINES = tomllib.loads(ISA_TABLE.read_text())
MACHINES["arm64"] = MACHINES["aarch64"]  # the same machine, as macOS calls it

MACHINE = sysconfig.get_platform().rsplit("-", 1)[-1]
if MACHINE not in MACHINES:
    sys.exit(f"fastnn has no kernels for {MACHINE!r}; it builds for {', '.join(MACHINES)}")
LEVELS = {level: row["flags"] for level, row in MACHINES[MACHINE].items()}
BASELINE = next(iter(LEVELS.values()))

# These flags come after those of Python and win: -fno-lto keeps the levels apart where Python was built with -flto.
COMMON = ["-std=c11", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno", "-fno-lto", "-pthread"]
# Aligned, so that the speed of a loop does not depend on the code before it: that of a tile on the activations' code.
COMMON += ["-O1", "-g"] if DEBUG else ["-O3", "-falign-functions=64", "-falign-loops=32", "-g0"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"] if WERROR else []
STRIP = ["-Wl,-s"] if sys.platform == "linux" and not DEBUG else []

# A change to one of these recompiles everything.
BODIES = ["setup.py", str(ISA_TABLE), *sorted(str(path) for path in [*CSRC.glob("*.h"), *CSRC.glob("*.inc.c")])]


def library(name, sources, flags):
    """Return an entry of setuptools' `libraries`: one static library."""
    sources = [str(CSRC / source) for source in sources]
    cflags = [*COMMON, *flags, *WARNINGS]
    return f"fastnn_{name}", {"sources": sources, "cflags": cflags, "include_dirs": ["csrc"], "obj_deps": {"": BODIES}}


# The core refers to the levels, so the linker must see it before them.
LIBRARIES = [library("core", ["cpu.c", "dispatch.c", "losses_wide.c", "random.c", "threads.c"], BASELINE)]
LIBRARIES += [library(level, [f"isa/{level}_f32.c", f"isa/{level}_f64.c"], flags) for level, flags in LEVELS.items()]


def extension(path):
    """Return the extension of one .pyx. Only _native calls into csrc, so only it is linked again when csrc changes."""
    name = ".".join(path.relative_to("src").with_suffix("").parts)
    sources = [source for _, info in LIBRARIES for source in info["sources"]]
    return Extension(
        name,
        [str(path)],
        include_dirs=["csrc", np.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        depends=[*BODIES, *sources] if name == "fastnn._native" else ["setup.py", str(ISA_TABLE), "csrc/fastnn.h"],
        extra_compile_args=[*COMMON, *BASELINE],
        extra_link_args=["-pthread", *STRIP],
    )


class BuildLibraries(build_clib):
    """Compiles the libraries in parallel, into one folder for editable installs, wheels and every version of Python."""

    def finalize_options(self):
        super().finalize_options()
        self.build_clib = self.build_temp = f"build/csrc-{sysconfig.get_platform()}"

    def build_libraries(self, libraries):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda one: build_clib.build_libraries(self, [one]), libraries))


class BuildExtensions(build_ext):
    """Builds the libraries first, which `build_ext --inplace` alone would not do, and compiles in parallel."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        if self.inplace:  # an editable install would build in a new folder each time
            self.build_lib = self.build_temp = f"build/inplace-{sysconfig.get_config_var('SOABI')}"

    def run(self):
        self.run_command("build_clib")
        super().run()


setup(
    libraries=LIBRARIES,
    ext_modules=cythonize(
        [extension(path) for path in sorted(Path("src").rglob("*.pyx"))],
        build_dir="build/cython",
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
        },
    ),
    cmdclass={"build_clib": BuildLibraries, "build_ext": BuildExtensions},
)
