"""The layers of the package: which part may import which other, checked in the sources."""

import ast
import graphlib
import re
import sys
from pathlib import Path

import pytest

import fastnn

PACKAGE = Path(fastnn.__file__).parent
CSRC = PACKAGE.parents[1] / "csrc"

# The parts that each part may import, besides itself.
LAYERS = {
    "_version": set(),
    "_typing": set(),
    "_names": set(),
    "_html": set(),
    "_terminal": set(),
    "_activations": {"_names"},
    "_losses": {"_names", "_validation", "_typing"},
    "_updates": {"_validation", "_typing"},
    "_records": {"_validation"},
    "_habits": {"_names", "_validation"},
    "_settings": {"_habits", "_validation", "_records"},
    "_foreign": {"_typing"},
    "_validation": {"_names", "_activations", "_foreign", "_typing"},
    "_columns": {"_validation"},
    "_context": set(),
    "_config": {"_context", "_validation", "_typing"},
    "_arrays": {"_fastnn"},
    "_native": {"_arrays", "_fastnn", "_validation"},
    "kernels": {
        "_activations",
        "_losses",
        "_updates",
        "_context",
        "_config",
        "_validation",
        "_typing",
        "_arrays",
        "_native",
        "_fastnn",
    },
}
LAYERS["reference"] = LAYERS["kernels"] | {"kernels"}
LAYERS["engine"] = LAYERS["kernels"] | {"kernels"}
LAYERS["optim"] = LAYERS["engine"] | {"engine", "_columns", "_habits", "_names", "_records", "_settings"}
LAYERS["nn"] = LAYERS["optim"] | {"_html"}
LAYERS["data"] = LAYERS["nn"] | {"nn", "optim"}
LAYERS["io"] = LAYERS["nn"] | {"nn", "optim", "_terminal", "_version"}
LAYERS["training"] = LAYERS["data"] | {"data", "io"}
LAYERS["diagnosis"] = LAYERS["training"] | {"training"}
LAYERS["plot"] = LAYERS["diagnosis"] | {"diagnosis"}
LAYERS["lab"] = LAYERS["plot"] | {"plot", "reference", "_terminal"}
LAYERS["sklearn"] = LAYERS["diagnosis"] | {"diagnosis", "_foreign", "_version"}
LAYERS["_show_config"] = LAYERS["kernels"] | {"_version"}
ABOVE_ALL = {"__init__", "__main__", "demo"}

# The only imports against the order of modules, each with the reason.
UPWARD: dict[tuple[str, str], str] = {
    ("fastnn.nn.scaling", "fastnn.data.scaling"): "the methods `fit` of scalers are a line each",
    ("fastnn.nn.sequential", "fastnn.io._nets"): "the method `save` is two lines",
    ("fastnn.training.history", "fastnn.plot._history_page"): "`to_html` and `_repr_html_` are two lines each",
    ("fastnn.diagnosis._report", "fastnn.plot._report_page"): "`to_html`, `_repr_html_`, `_pictures`: two lines each",
    ("fastnn.training.lr_range", "fastnn.plot._rates"): "the method `plot` is two lines",
    ("fastnn.diagnosis._findings", "fastnn.plot._report_page"): "the method `_repr_html_` is two lines",
}

SKLEARN = {"sklearn", "demo", "lab"}  # parts that may import scikit-learn; only the first may do so eagerly
LAZY = {"sklearn", "scipy", "tqdm", "matplotlib", "threadpoolctl"}  # optional packages, imported when needed


def sources(suffix):
    files = sorted(PACKAGE.rglob(f"*{suffix}"))
    return files if suffix != ".py" else [path for path in files if "__pycache__" not in path.parts]


def module_of(path):
    """Return the name of a file's module."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("fastnn", *parts)).removesuffix(".__init__")


def imports(suffix, text):
    """Yield what a source imports, down to single names, each with whether it is imported eagerly."""
    if suffix == ".py":
        tree = ast.parse(text)
        lazy = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, id(node) not in lazy) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "imports are absolute"
                yield from ((f"{node.module}.{alias.name}", id(node) not in lazy) for alias in node.names)
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
                yield from ((argument.value, False) for argument in node.args if isinstance(argument, ast.Constant))
    else:
        for module, names in re.findall(r"^\s*from\s+([\w.]+)\s+c?import\s+(\([^)]*\)|.*)", text, re.MULTILINE):
            yield from ((f"{module}.{name}", True) for name in re.findall(r"\w+", names))
        yield from ((module, True) for module in re.findall(r"^\s*c?import\s+([\w.]+)", text, re.MULTILINE))


def arrows(sources):
    """Return the modules that each module imports, from sources by module and suffix: eagerly, lazily or for types."""
    modules = {module for module, _ in sources}
    found = {module: set() for module in modules}
    for (module, suffix), text in sources.items():
        for imported, _ in imports(suffix, text):
            other = imported if imported in modules else imported.rpartition(".")[0]
            if other in modules and other not in (module, "fastnn"):
                found[module].add(other)
    return found


def part_of(module):
    return module.split(".")[1] if "." in module else "__init__"


def upward(found):
    """Return the arrows to modules of parts that the first module's part may not import."""
    return {
        (module, other)
        for module, others in found.items()
        for other in others
        if part_of(module) not in {part_of(other), *ABOVE_ALL} and part_of(other) not in LAYERS[part_of(module)]
    }


def between_twins(found):
    """Return the arrows from NumPy twins to compiled modules, and back."""
    return {
        (module, other)
        for module, others in found.items()
        for other in others
        if (module.endswith("_ref") and other.endswith(("_cy", "._native")))
        or (module.endswith("_cy") and other.endswith("_ref"))
    }


def circle(found):
    """Return modules of which each imports the one before it, back to the first; empty if there are none."""
    try:
        graphlib.TopologicalSorter(found).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


FILES = [*sources(".py"), *sources(".pyx"), *sources(".pxd")]
assert len(FILES) > 20


def name(path):
    return str(path.relative_to(PACKAGE))


def sources_by_module():
    return {(module_of(path), path.suffix): path.read_text() for path in FILES}


def test_wrong_arrows_are_found():
    sources = {
        ("fastnn.nn.a", ".py"): "from fastnn.nn import b\ndef f():\n    import fastnn.training.c",
        ("fastnn.nn.b", ".py"): "from fastnn.engine.d import run\nimport numpy",
        ("fastnn.engine.d", ".pyx"): "from fastnn.kernels.e cimport (x,\n                                 y)",
        ("fastnn.kernels.e", ".pxd"): "cimport fastnn._native",
        ("fastnn.training.c", ".py"): "",
        ("fastnn._native", ".pyx"): "",
    }
    found = arrows(sources)
    assert found["fastnn.nn.a"] == {"fastnn.nn.b", "fastnn.training.c"}
    assert found["fastnn.engine.d"] == {"fastnn.kernels.e"}
    assert upward(found) == {("fastnn.nn.a", "fastnn.training.c")}
    assert not circle(found)
    assert not between_twins(found)
    found["fastnn.kernels.a_ref"], found["fastnn.kernels.a_cy"] = {"fastnn._native"}, {"fastnn.kernels.a_ref"}
    assert len(between_twins(found)) == 2
    sources["fastnn.nn.b", ".py"] += "\ndef g():\n    from fastnn.nn.a import f"
    assert set(circle(arrows(sources))) == {"fastnn.nn.a", "fastnn.nn.b"}


def test_arrows_point_down():
    found = arrows(sources_by_module())
    assert sum(map(len, found.values())) > 200
    assert not upward(found) - set(UPWARD)


def private_uses(text):
    """Return the attributes beginning with one "_" that code reads from a trainer, net or model, by their text."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
        and re.match("_[^_]", node.attr)
        and re.search("(trainer|net|model)$", ast.unparse(node.value))
    ]


def test_estimators_use_public_names():
    """The estimators stand on trainers and nets as a user's code does."""
    found = {path.name: private_uses(path.read_text()) for path in (PACKAGE / "sklearn").glob("*.py")}
    assert {name: uses for name, uses in found.items() if uses} == {}
    text = "self.trainer._slots; net._x.y; self.search_model._x; model.__class__; other._x"
    assert set(private_uses(text)) == {"self.trainer._slots", "net._x", "self.search_model._x"}


def test_no_imports_form_a_circle():
    found = arrows(sources_by_module())
    for module, other in UPWARD:
        assert other in found[module], "take it out of UPWARD"
        found[module].remove(other)
    assert not circle(found)
    assert not circle(LAYERS)


def test_twins_do_not_import_each_other():
    assert not between_twins(arrows(sources_by_module()))


@pytest.mark.parametrize("path", sources(".py"), ids=name)
def test_imports_of_other_packages(path):
    """Only NumPy is imported with the package; optional packages are imported when needed."""
    for module, eager in imports(path.suffix, path.read_text()):
        root = module.split(".")[0]
        if root in sys.stdlib_module_names or root in ("fastnn", "numpy"):
            continue
        assert root in LAZY, module
        assert root != "sklearn" or part_of(module_of(path)) in SKLEARN
        may_be_eager = (
            root in ("sklearn", "scipy") and part_of(module_of(path)) == "sklearn"
        )  # scikit-learn requires SciPy
        assert not eager or may_be_eager, f"{module} is imported eagerly"


def test_csrc_does_not_include_python():
    files = [path for path in CSRC.rglob("*") if path.suffix in (".c", ".h")]
    assert len(files) > 10
    for path in files:
        for included in re.findall(r'#\s*include\s+["<]([^">]+)[">]', path.read_text()):
            assert "Python" not in included, path
            assert "numpy" not in included, path


def test_only_native_links_csrc():
    """The other extensions import its table: linked into each, csrc would have a thread pool and a table in each."""
    for path in sources(".pyx"):
        if path.name != "_native.pyx":
            assert "cdef extern" not in path.read_text() or not re.search(r"\bfnn_choose\b", path.read_text()), path
