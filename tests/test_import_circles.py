"""No circle of imports, inside a package or across, type hints included: what needs one another is one module.

import-linter sees the packages; this sees the modules. An import below TYPE_CHECKING or inside a function counts: the
reader who wants to understand the one has to know the other, whatever the interpreter does.
"""

import ast
import gc
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Imports = Mapping[str, set[str]]


@pytest.mark.parametrize(("root", "package"), [("services", "skerry"), (".", "bench")])
def test_no_module_reaches_itself_by_its_imports(root: str, package: str) -> None:
    assert circles(imports_of(ROOT / root, package)) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a": "import p.b", "b": ""}, []),
        ({"a": "import p.b", "b": "from p import a"}, [["p.a", "p.b"]]),
        ({"a": "from p.b import x", "b": "if TYPE_CHECKING:\n    from p.a import y"}, [["p.a", "p.b"]]),
        ({"a": "from p.b import x", "b": "def f():\n    from . import a"}, [["p.a", "p.b"]]),
        ({"a": "from p import b", "b": "from .c.d import x", "c/d": "from ..a import y"}, [["p.a", "p.b", "p.c.d"]]),
        ({"__init__": "from p.a import x", "a": "import p"}, [["p", "p.a"]]),
        ({"a": "from p import b", "b": "from p import x", "__init__": "x = 1"}, []),
        (
            {"a": "import p.b", "b": "import p.a", "c": "import p.d, p.a", "d": "import p.c"},
            [["p.a", "p.b"], ["p.c", "p.d"]],
        ),
    ],
    ids=[
        "one way",
        "both ways",
        "a type hint counts",
        "a function's import counts",
        "three, by relative imports",
        "a package and its module",
        "a name of the package is no module",
        "two circles, one reached from the other",
    ],
)
def test_circles_are_found(files: dict[str, str], expected: list[list[str]], tmp_path: Path) -> None:
    for name, content in files.items():
        path = tmp_path / "p" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert circles(imports_of(tmp_path, "p")) == expected


def test_modules_of_h2_import_from_those_that_stand_before_them_in_its_table() -> None:
    folder = ROOT / "services" / "skerry" / "rpc" / "h2"
    table = (ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "").split("\n\n")[1]
    listed = [name for line in table.splitlines() for name in re.findall(r"\w+", line.split("  ")[0])]
    order = {name: at for at, name in enumerate(listed)}
    assert sorted(order) == sorted(path.stem for path in folder.glob("[!_]*.py"))
    imports = imports_of(ROOT / "services", "skerry")
    for name, at in order.items():
        for imported in imports[f"skerry.rpc.h2.{name}"]:
            if imported.startswith("skerry.rpc.h2."):
                assert order[imported.rpartition(".")[2]] < at, f"{name} imports {imported}"


def imports_of(root: Path, package: str) -> Imports:
    """Each module of the package, and those modules of it that it names in an import, wherever that stands."""
    files = {_module(path, root): path for path in (root / package).rglob("*.py")}
    return {
        module: set(_imported(_parse(path), module, path.name == "__init__.py", files.keys())) - {module}
        for module, path in files.items()
    }


def _parse(path: Path) -> ast.Module:
    # Before Python 3.11.5 a finalizer that runs in the middle of it is a SystemError (python/cpython#106905): what the
    # tests before left to the garbage collector waits.
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def circles(imports: Imports) -> list[list[str]]:
    """Sets of modules that reach one another (strongly connected, by Tarjan's algorithm), each in order of names."""
    found, index, low, stack = [], dict[str, int](), dict[str, int](), list[str]()

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for imported in imports[module]:
            if imported not in index:
                visit(imported)
                low[module] = min(low[module], low[imported])
            elif imported in stack:
                low[module] = min(low[module], index[imported])
        if low[module] == index[module]:
            at = stack.index(module)
            circle, stack[at:] = sorted(stack[at:]), []
            if len(circle) > 1:
                found.append(circle)

    for module in imports:
        if module not in index:
            visit(module)
    return sorted(found)


def _module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imported(tree: ast.Module, module: str, is_package: bool, known: Collection[str]) -> Iterator[str]:
    """`from a import b` names a.b where that is a module; otherwise a, whose `b` is a class or a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")[: None if is_package and node.level == 1 else -node.level + is_package]
                base = ".".join([*parts, *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                if inner in known:
                    yield inner
                elif base in known:
                    yield base
