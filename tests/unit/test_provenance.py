import ast

import pytest

from immune_landscape import provenance


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "immune_landscape"
    folder.mkdir()
    (folder / "a.py").write_text("def f():\n    from immune_landscape.b import g\n")
    (folder / "b.py").write_text("from immune_landscape import c\n")
    (folder / "c.py").write_text("x = 1\n")
    (folder / "d.py").write_text("import numpy\n")
    (tmp_path / "a.py").write_text("from immune_landscape.a import f\nfrom immune_landscape.d import h\n")
    monkeypatch.setattr(provenance, "PACKAGE", folder)
    provenance._imports.cache_clear()
    provenance._source.cache_clear()
    yield folder
    provenance._imports.cache_clear()
    provenance._source.cache_clear()


def hash_after(folder, name, text):
    (folder / f"{name}.py").write_text(text)
    provenance._imports.cache_clear()
    provenance._source.cache_clear()
    return provenance.code_of("a")


def test_hash_follows_imports_of_imports(package):
    before = provenance.code_of("a")
    assert before == provenance.code_of("a")
    assert hash_after(package, "c", "x = 2\n") != before


def test_hash_covers_what_only_the_script_imports(package):
    before = provenance.code_of("a")
    assert hash_after(package, "d", "import scipy\n") != before


def test_hash_ignores_strangers(package):
    before = provenance.code_of("a")
    assert hash_after(package, "e", "y = 1\n") == before


SOURCES = sorted([*provenance.PACKAGE.glob("*.py"), *provenance.PACKAGE.parent.glob("*.py")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_imports_are_those_of_the_whole_source(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module == "immune_landscape":
            found |= {name.name for name in node.names if (provenance.PACKAGE / f"{name.name}.py").exists()}
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("immune_landscape."):
            found.add(node.module.split(".")[1])
    assert provenance._package_imports(path.read_bytes()) == found


def test_text_that_begins_like_an_import_is_no_import(package):
    source = b'"""\nfrom immune_landscape comes c.\n"""\nfrom immune_landscape.b import (\n    g,\n    h,\n)\n'
    assert provenance._package_imports(source) == {"b"}
