"""Files and functions stay short enough to read, compiled modules have stubs, and public objects show themselves."""

import ast
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent
CSRC = PACKAGE.parents[1] / "csrc"
if not CSRC.is_dir():
    pytest.skip("these tests need the checkout", allow_module_level=True)

MOST_LINES_OF_A_FUNCTION = 60  # of code
MOST_LINES_OF_A_FILE = 600

# Longer files, each with the reason: a table may be one.
LONG_FILES = {
    "sklearn/_estimators.py": "the parameters' docstrings of four estimators",
}

# Compiled modules without a stub, each with the reason.
WITHOUT_STUB: dict[str, str] = {}

FILES = sorted(
    path
    for folder, suffixes in ((PACKAGE, (".py", ".pyx", ".pxd")), (CSRC, (".c", ".h")))
    for path in folder.rglob("*")
    if path.suffix in suffixes
)
assert len(FILES) > 100


def name(path):
    return path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else CSRC.parent).as_posix()


# ---- how long functions are ----


def code_lines(text, comment="#"):
    """Return the number of lines that are neither blank nor a comment."""
    return sum(bool(line.strip()) and not line.lstrip().startswith(comment) for line in text.splitlines())


def python_functions(text):
    """Yield name and lines of code of each function; decorators and docstrings do not count."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            header = lines[node.lineno - 1 : node.body[0].lineno - 1]
            rest = lines[body[0].lineno - 1 : node.end_lineno] if body else []
            yield node.name, code_lines("\n".join([*header, *rest]))


CYTHON_FUNCTION = re.compile(
    r"^( *)(?:def|cp?def) (?!class |struct |enum|extern |packed )[^=(\n]*?(\w+)\(", re.MULTILINE
)
DOCSTRING = re.compile(r'^ *"""(?:.|\n)*?"""$', re.MULTILINE)


def cython_functions(text):
    """Yield name and lines of code of each def, cdef and cpdef: the lines after its first that are indented further."""
    text = DOCSTRING.sub("", text)
    for match in CYTHON_FUNCTION.finditer(text):
        block = re.match(rf".*\n(?:{match[1]} +.*\n|\s*\n)*", text[match.start() :])
        yield match[2], code_lines(block[0] if block else match[0])


C_COMMENT = re.compile(r"/\*(?:.|\n)*?\*/")
C_FUNCTION = re.compile(r"^\w[^;={}#\n]*?(\w+)\((?:[^;{}#]*)\)[^;{}#]*\{\n(?:.*\n)*?\}$", re.MULTILINE)


def c_functions(text):
    """Yield name and lines of code of each function, which begins and ends at the margin."""
    for match in C_FUNCTION.finditer(C_COMMENT.sub("", text)):
        yield match[1], code_lines(match[0], "//")


FUNCTIONS = {
    ".py": python_functions,
    ".pyx": cython_functions,
    ".pxd": cython_functions,
    ".c": c_functions,
    ".h": c_functions,
}


def long_functions(suffix, text):
    """Return name and lines of code of each function that is too long."""
    return [(function, n) for function, n in FUNCTIONS[suffix](text) if n > MOST_LINES_OF_A_FUNCTION]


# By suffix: a function `f` whose body is to be filled in, and the number of its other lines that count.
EXAMPLES = {
    ".py": (2, '@cache\ndef f(a,\n      b):\n    """Text.\n\n    More.\n    """\n    # why\n\n{}def g():\n    pass\n'),
    ".pyx": (2, 'cdef x = h(1)\ncdef class A:\n  cdef f(self,\n    b):\n    """Text."""\n{}  def g(self):\n    0\n'),
    ".c": (3, "int x[] = {{h(1)}};\n/* f( */\nint f(int a,\n      int b) {{\n    // why\n{}}}\n\nint g(void) {{\n}}\n"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", EXAMPLES)
@pytest.mark.parametrize("lines", [MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_A_FUNCTION + 1])
def test_a_long_function_is_found(suffix, lines):
    others, text = EXAMPLES[suffix]
    text = text.format("    x = 1;\n" * (lines - others))
    assert dict(FUNCTIONS[suffix](text)) == {"f": lines, "g": 2}
    assert long_functions(suffix, text) == [("f", lines)] * (lines > MOST_LINES_OF_A_FUNCTION)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_functions_are_short(path):
    assert not long_functions(path.suffix, path.read_text())


# ---- how long files are ----


def is_long(text):
    return len(text.splitlines()) > MOST_LINES_OF_A_FILE


def test_a_long_file_is_found():
    assert not is_long("x\n" * MOST_LINES_OF_A_FILE)
    assert is_long("x\n" * (MOST_LINES_OF_A_FILE + 1))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_are_short(path):
    assert is_long(path.read_text()) == (name(path) in LONG_FILES), "split it by what it does, or see LONG_FILES"


# ---- stubs and reprs ----


def without_stub(paths):
    """Return the compiled modules among the paths that have no stub beside them."""
    stubs = {path.with_suffix("") for path in paths if path.suffix == ".pyi"}
    return [path for path in paths if path.suffix == ".pyx" and path.with_suffix("") not in stubs]


def test_a_missing_stub_is_found():
    assert without_stub([Path("a.pyx"), Path("a.pyi"), Path("b.pyx"), Path("c.pyi")]) == [Path("b.pyx")]


def test_compiled_modules_have_stubs():
    assert not {name(path) for path in without_stub(sorted(PACKAGE.rglob("*.py*")))} - set(WITHOUT_STUB)


def public_classes():
    """Return the classes among the public names of the package and of its public modules."""
    modules = [fastnn, *(value for value in map(vars(fastnn).get, fastnn.__all__) if inspect.ismodule(value))]
    if importlib.util.find_spec("sklearn"):
        modules.append(importlib.import_module("fastnn.sklearn"))
    members = (getattr(module, each) for module in modules for each in module.__all__)
    return sorted(set(filter(inspect.isclass, members)), key=lambda kind: kind.__qualname__)


def shows_itself(kind):
    """Whether objects of the class show more than their address."""
    return kind.__repr__ is not object.__repr__


def test_a_missing_repr_is_found():
    assert not shows_itself(type("Bare", (), {}))
    assert shows_itself(type("Shown", (), {"__repr__": lambda self: "Shown()"}))
    assert len(public_classes()) > 60


@pytest.mark.parametrize("kind", public_classes(), ids=lambda kind: kind.__name__)
def test_public_classes_have_reprs(kind):
    assert shows_itself(kind)
