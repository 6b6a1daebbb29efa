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
