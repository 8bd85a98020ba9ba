"""Builds the compiled parts: one static library per ISA level, linked into fastnn._native, and the Cython extensions.

FASTNN_DEBUG=1 compiles for a debugger; FASTNN_WERROR=1 makes the warnings of csrc errors.
Objects do not know the flags they were made with: `make clean` when either, or CFLAGS, changes.
"""

import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("FASTNN_DEBUG") == "1"
WERROR = os.environ.get("FASTNN_WERROR") == "1"

# Level -> the flags of its units, by the machine that is built for; the first level is every other file's too.
ISA_FLAGS = {
    "x86_64": {
        "baseline": ["-march=x86-64-v2"],
        "avx2": ["-march=x86-64-v3"],
        "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    },
    "aarch64": {"neon": ["-march=armv8-a"]},
}
ISA_FLAGS["arm64"] = ISA_FLAGS["aarch64"]

MACHINE = sysconfig.get_platform().rsplit("-", 1)[-1]
if MACHINE not in ISA_FLAGS:
    sys.exit(f"fastnn has no kernels for {MACHINE!r}; it builds for {', '.join(ISA_FLAGS)}")
LEVELS = ISA_FLAGS[MACHINE]
BASELINE = next(iter(LEVELS.values()))

# Flags of ours come last and win: -fno-lto keeps the levels apart where Python itself was built with -flto.
COMMON = ["-std=c11", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno", "-fno-lto", "-pthread"]
# Aligned, so that how fast a loop is does not hang on the code before it: a tile's, on that of the activations.
COMMON += ["-O1", "-g"] if DEBUG else ["-O3", "-falign-functions=64", "-falign-loops=32", "-g0"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"] if WERROR else []
STRIP = ["-Wl,-s"] if sys.platform == "linux" and not DEBUG else []

CSRC = Path("csrc")
# A change to one of these compiles everything anew.
BODIES = ["setup.py", *sorted(str(path) for path in [*CSRC.glob("*.h"), *CSRC.glob("*.inc.c")])]


def library(name, sources, flags):
    """One static library of setuptools' `libraries`."""
    sources = [str(CSRC / source) for source in sources]
    cflags = [*COMMON, *flags, *WARNINGS]
    return f"fastnn_{name}", {"sources": sources, "cflags": cflags, "include_dirs": ["csrc"], "obj_deps": {"": BODIES}}


# The core refers to the levels, so it stands before them on the linker's line.
LIBRARIES = [library("core", ["cpu.c", "dispatch.c", "losses_wide.c", "random.c", "threads.c"], BASELINE)]
LIBRARIES += [library(level, [f"isa/{level}_f32.c", f"isa/{level}_f64.c"], flags) for level, flags in LEVELS.items()]


def extension(path):
    """The extension of one .pyx; only _native calls into csrc, so only it is linked anew when csrc changes."""
    name = ".".join(path.relative_to("src").with_suffix("").parts)
    sources = [source for _, info in LIBRARIES for source in info["sources"]]
    return Extension(
        name,
        [str(path)],
        include_dirs=["csrc"],
        depends=[*BODIES, *sources] if name == "fastnn._native" else ["setup.py", "csrc/fastnn.h"],
        extra_compile_args=[*COMMON, *BASELINE],
        extra_link_args=["-pthread", *STRIP],
    )


class BuildLibraries(build_clib):
    """Compiles the libraries side by side, in one place for editable installs, wheels and every version of Python."""

    def finalize_options(self):
        super().finalize_options()
        self.build_clib = self.build_temp = f"build/csrc-{sysconfig.get_platform()}"

    def build_libraries(self, libraries):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda one: build_clib.build_libraries(self, [one]), libraries))


class BuildExtensions(build_ext):
    """Builds the libraries first, which `build_ext --inplace` alone would not, and compiles side by side."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        if self.inplace:  # an editable install would build in a folder of its own each time
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
