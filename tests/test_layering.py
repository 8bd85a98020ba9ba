"""The layers of the package: which part may import which other, checked in the sources."""

import ast
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
    "_activations": set(),
    "_losses": {"_validation", "_typing"},
    "_settings": {"_validation"},
    "_validation": {"_activations", "_typing"},
    "_config": {"_validation", "_typing"},
    "_native": {"_fastnn", "_validation"},
    "kernels": {"_activations", "_losses", "_config", "_validation", "_typing", "_native", "_fastnn"},
}
LAYERS["reference"] = LAYERS["kernels"] | {"kernels"}
LAYERS["engine"] = LAYERS["kernels"] | {"kernels"}
LAYERS["nn"] = LAYERS["optim"] = LAYERS["engine"] | {"engine", "_settings"}
LAYERS["data"] = LAYERS["nn"] | {"nn", "optim"}
LAYERS["training"] = LAYERS["data"] | {"data"}
LAYERS["diagnose"] = LAYERS["training"] | {"training"}
LAYERS["sklearn"] = LAYERS["diagnose"] | {"diagnose", "_version"}
LAYERS["_show_config"] = LAYERS["kernels"] | {"_version"}
ABOVE_ALL = {"__init__", "__main__", "demo"}

SKLEARN = {"sklearn", "demo"}  # parts that may import scikit-learn; only the first may do so eagerly
LAZY = {"sklearn", "scipy", "tqdm", "matplotlib", "threadpoolctl"}  # optional packages, imported when needed


def sources(suffix):
    files = sorted(PACKAGE.rglob(f"*{suffix}"))
    return files if suffix != ".py" else [path for path in files if "__pycache__" not in path.parts]


def part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(path.suffix)


def imports(path):
    """Yield the modules that a file imports, each with whether it is imported eagerly, with the file itself."""
    if path.suffix == ".py":
        tree = ast.parse(path.read_text())
        lazy = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, id(node) not in lazy
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                for alias in node.names:
                    yield (
                        f"{node.module}.{alias.name}" if node.module == "fastnn" else node.module,
                        id(node) not in lazy,
                    )
    else:
        for module, names in re.findall(
            r"^\s*from\s+([\w.]+)\s+c?import\s+\(?([\w, ]+)", path.read_text(), re.MULTILINE
        ):
            for name in names.split(",") if module == "fastnn" else [""]:
                yield f"{module}.{name.strip()}".rstrip("."), True
        for module in re.findall(r"^\s*c?import\s+([\w.]+)", path.read_text(), re.MULTILINE):
            yield module, True


FILES = [*sources(".py"), *sources(".pyx"), *sources(".pxd")]
assert len(FILES) > 20


def name(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_parts_import_lower_layers_only(path):
    here = part(path)
    for module, _ in imports(path):
        if module.startswith("fastnn.") and here not in ABOVE_ALL:
            other = module.split(".")[1]
            assert here in LAYERS, f"{here} must be in LAYERS"
            assert other == here or other in LAYERS[here], f"{here} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_twins_do_not_import_each_other(path):
    modules = {module for module, _ in imports(path)}
    if path.name.endswith("_ref.py"):
        compiled = [m for m in modules if m.endswith("_cy") or m == "fastnn._native"]
        assert not compiled
        assert "cython" not in modules
    if path.name.endswith(("_cy.pyx", "_cy.pxd")):
        assert not [m for m in modules if m.endswith("_ref")]


@pytest.mark.parametrize("path", sources(".py"), ids=name)
def test_imports_of_other_packages(path):
    """Only NumPy is imported with the package; optional packages are imported when needed."""
    for module, eager in imports(path):
        root = module.split(".")[0]
        if root in sys.stdlib_module_names or root in ("fastnn", "numpy"):
            continue
        assert root in LAZY, module
        assert root != "sklearn" or part(path) in SKLEARN
        may_be_eager = root in ("sklearn", "scipy") and part(path) == "sklearn"  # scikit-learn requires SciPy
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
