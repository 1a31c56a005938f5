"""Imports run one way, anmei <- db <- actors <- handlers <- run.py, and each library stays where it
belongs."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import ROOT

LAYERS = ("anmei", "db", "actors", "handlers", "run")
LONGEST_FILE = 400

#: Where a library may be imported. A name that is not here may be imported everywhere.
HOME = {
    "asyncio": ("db", "actors", "handlers", "run"),
    "tornado": ("actors", "handlers", "run"),
    "tornado.web": ("handlers", "run"),
    "tornado.websocket": ("handlers", "run"),
    "redis": ("*_redis.py",),
    "boto3": ("*_s3.py",),
    "botocore": ("*_s3.py",),
    "peewee": ("db",),
    "playhouse": ("db",),
    "psycopg2": ("db",),
    "sqlite3": ("db",),
}


def sources(root: Path) -> Iterator[Path]:
    for layer in LAYERS:
        yield from sorted((root / layer).rglob("*.py"))
    if (root / "run.py").exists():
        yield root / "run.py"


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Every module that is imported, wherever it stands in the file: line and full name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides its layer"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("__import__", "import_module", "importlib.import_module")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, node.args[0].value


def violations(root: Path) -> list[str]:
    found = []
    for path in sources(root):
        here = path.relative_to(root)
        layer = here.parts[0].removesuffix(".py")
        source = path.read_text()
        length = len(source.splitlines())
        if length > LONGEST_FILE:
            found.append(f"{here}: {length} lines; at most {LONGEST_FILE} are allowed")
        for line, name in imports(source):
            top = name.partition(".")[0]
            if top in LAYERS and LAYERS.index(top) > LAYERS.index(layer):
                found.append(f"{here}:{line}: {layer} may not import {top}")
            if top in ("tests", "loadtest"):
                found.append(f"{here}:{line}: the product may not import {top}")
            for library, homes in HOME.items():
                imported = name == library or name.startswith(library + ".")
                allowed = layer in homes or any(here.match(home) for home in homes)
                if imported and not allowed:
                    found.append(f"{here}:{line}: {library} belongs in {', '.join(homes)}")
    return found


def test_imports_run_one_way_and_libraries_stay_where_they_belong():
    assert violations(ROOT) == []


def test_every_layer_is_looked_at():
    looked_at = {path.relative_to(ROOT).parts[0] for path in sources(ROOT)}
    assert looked_at == {"anmei", "db", "actors", "handlers", "run.py"}


def test_every_folder_of_the_product_is_a_layer():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders - {"tests", "loadtest"} <= set(LAYERS)


@pytest.mark.parametrize(
    ("path", "source", "wrong"),
    [
        ("anmei/a.py", "import asyncio", "asyncio belongs in"),
        ("anmei/a.py", "from db import store", "anmei may not import db"),
        ("anmei/a.py", "def f():\n    import db.store", "anmei/a.py:2: anmei may not import db"),
        ("db/a.py", "from actors.router import Router", "db may not import actors"),
        ("db/a.py", "import importlib\nimportlib.import_module('actors')", "may not import actors"),
        ("actors/a.py", "from peewee import Model", "peewee belongs in db"),
        ("actors/bus.py", "import redis.asyncio", "redis belongs in *_redis.py"),
        ("actors/a.py", "from tornado import web", "tornado.web belongs in handlers, run"),
        ("actors/a.py", "import tornado.websocket", "tornado.websocket belongs in"),
        ("handlers/a.py", "import run", "handlers may not import run"),
        ("run.py", "from tests.support import ports", "the product may not import tests"),
        ("handlers/deep/a.py", "x = 1\n" * 401, "401 lines"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, path, source, wrong):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(source)
    assert len(found := violations(tmp_path)) == 1
    assert wrong in found[0]


def test_what_is_allowed_is_not_a_violation(tmp_path):
    allowed = {
        "anmei/ids.py": "import re\nimport msgspec",
        "db/store.py": "import peewee\nfrom anmei.ids import make_key",
        "actors/bus_redis.py": "import asyncio\nimport redis.asyncio\nfrom db.store import Store",
        "handlers/chat.py": "from tornado.web import RequestHandler\nfrom actors import router",
        "run.py": "from tornado.web import Application\nimport handlers.chat, anmei.settings",
    }
    for path, source in allowed.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(source)
    assert violations(tmp_path) == []


def test_the_core_stands_on_the_standard_library_and_few_others():
    """`anmei` is what everything else is built on, so what it is built on is counted: parsers, and
    what reads tokens; nothing that opens a socket, a file or a loop."""
    allowed = {*sys.stdlib_module_names, "anmei", "msgspec", "ujson", "jwt", "cryptography"}
    used = {
        name.partition(".")[0]
        for path in (ROOT / "anmei").rglob("*.py")
        for _, name in imports(path.read_text())
    }
    assert used <= allowed
