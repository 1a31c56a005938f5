"""The documents say what the program does: every name in one is in the other."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tornado.ioloop import IOLoop

import run
from anmei.close_codes import CloseCode
from anmei.codec import decode
from anmei.errors import ErrorCode
from anmei.frames import PAYLOADS
from anmei.settings import Settings
from anmei.settings_table import TABLE as SETTINGS
from handlers import demo
from handlers.api import JSON_TYPES
from handlers.routes import make_app
from tests.support.pages import (
    ANSWERS,
    DOCS,
    EVENTS,
    HTTP,
    NOT_SENT_YET,
    PROTOCOL,
    README,
    blocks,
    events,
    frames,
)
from tests.support.process import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

#: What hands out an event, and the place among its arguments where the type stands.
EMITTERS = {"Event.of": 0, "encode_event": 0, "whisper": 2}


def headings(text: str) -> list[str]:
    without_code = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#{1,4} (.+)$", without_code, re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What a link to a heading of this page looks like."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(text)
    }


def emitted(source: str) -> Iterator[str]:
    """The event types that stand as words in calls that hand out an event."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            for emitter, place in EMITTERS.items():
                if name.endswith(emitter) and len(node.args) > place:
                    type = node.args[place]
                    # Of a choice both words count; what is no word here is one elsewhere.
                    for word in (
                        (type.body, type.orelse) if isinstance(type, ast.IfExp) else (type,)
                    ):
                        if isinstance(word, ast.Constant) and isinstance(word.value, str):
                            yield word.value


def sources() -> list[Path]:
    return [path for layer in ("db", "actors", "handlers") for path in (ROOT / layer).glob("*.py")]


def words(path: Path) -> set[str]:
    """Every piece of text in a source."""
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.fixture
def routes(io_loop: IOLoop) -> list[tuple[str, tuple[str, ...]]]:
    """Every route with `*` for each part that varies, and its methods; none for a WebSocket."""
    # Nothing is asked of the app but its table, so it needs no server behind it.
    loop = io_loop.asyncio_loop
    app = make_app(SimpleNamespace(settings=Settings(), loop=loop))
    return [
        (
            re.sub(r"\([^)]*\)", "*", rule.regex.pattern.removesuffix("$")),
            tuple(
                name for name in getattr(rule.handler_class, "methods", tuple)() if name != "HEAD"
            ),
        )
        for rule in app.wildcard_router.rules
    ]


# Settings, codes, frames and events


def test_the_table_of_settings_is_what_the_program_has():
    script = ROOT / "scripts" / "settings_table.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_setting_stands_in_its_table_once():
    page = (DOCS / "settings.md").read_text()
    for row in SETTINGS:
        assert page.count(f"\n| `{row.name}` |") == 1, row.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_setting_that_does_not_exist(page):
    known = {row.name for row in SETTINGS}
    assert set(re.findall(r"\b(?:ANMEI|WS|JWT)_[A-Z_]+[A-Z]\b", page.read_text())) <= known


def test_every_close_code_has_a_row_and_every_row_is_a_close_code():
    rows = re.findall(r"^\| (\d{4}) \| ([a-z ]+) \|", PROTOCOL, re.MULTILINE)
    assert dict(rows) == {str(int(code)): code.name.lower().replace("_", " ") for code in CloseCode}
    assert len(rows) == len(CloseCode)


def test_every_error_code_has_a_row_that_says_whether_it_is_retryable():
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \|", PROTOCOL, re.MULTILINE)
    assert dict(rows) == {code.code: "yes" if code.retryable else "no" for code in ErrorCode}


def test_every_error_code_stands_beside_its_http_status():
    rows = dict(re.findall(r"^\| (\d{3}) \| (.+) \|$", HTTP, re.MULTILINE))
    for code in ErrorCode:
        assert f"`{code.code}`" in rows[str(code.status)], code


@pytest.mark.parametrize("name", PAYLOADS)
def test_every_client_frame_has_a_chapter_and_an_example(name):
    assert name in headings(PROTOCOL)
    assert [frame for frame in frames() if frame["type"] == name and "ts" not in frame]


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_has_a_chapter_and_an_example(name):
    assert {name, f"{name} (event)"} & set(headings(PROTOCOL))
    assert name in events() or name in NOT_SENT_YET


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_of_the_page_is_one_that_the_program_knows(name):
    assert any(name in words(path) for path in sources())


def test_every_event_that_the_program_sends_is_known_here():
    found = {name for path in sources() for name in emitted(path.read_text())}
    assert len(found) >= 5
    assert found <= set(EVENTS)


def test_an_event_that_nobody_wrote_about_would_be_found():
    planted = 'def f(self):\n    self._router.whisper(d, k, "wave" if up else "bow", {})\n'
    assert set(emitted(planted + 'Event.of("shout", {})')) == {"wave", "bow", "shout"}


def test_every_example_of_the_protocol_is_a_frame_that_exists():
    count = 0
    for frame in frames():
        count += 1
        if frame["type"] in ANSWERS:
            assert {"ack": "data", "error": "error", "pong": "data"}[frame["type"]] in frame
        elif "ts" in frame:
            assert frame["type"] in EVENTS, frame
        else:
            read = decode(json.dumps(frame).encode())
            assert (read.type, read.id) == (frame["type"], frame.get("id"))
    assert count > 30


def test_every_field_of_a_client_frame_stands_in_its_chapter():
    for name, struct in PAYLOADS.items():
        chapter = re.search(rf"^### {name}\n(.*?)^##", PROTOCOL, re.MULTILINE | re.DOTALL)
        assert chapter is not None
        for field in struct.__struct_fields__:
            assert f"`{field}`" in chapter[1] or f'"{field}"' in chapter[1], (name, field)


def test_every_json_example_of_the_http_page_can_be_read():
    found = [json.loads(block) for block in blocks("json", HTTP)]
    assert len(found) > 8


# Routes


def test_every_route_and_method_has_a_chapter_and_every_chapter_is_a_route(routes):
    chapters = {
        re.sub(r"\{\w+\}", "*", heading)
        for heading in headings(HTTP)
        if re.match(r"[A-Z]+ /", heading)
    }
    wanted = {
        f"{method} {path}"
        for path, methods in routes
        for method in methods
        if not path.startswith("/ws/")  # the doors have a page of their own
    }
    assert len(wanted) > 20
    # The files of the page are named in the chapter of the page.
    assert chapters == wanted - {"GET /web/*"}


def test_the_doors_and_the_files_of_the_page_are_named(routes):
    named = re.sub(r"\{\w+\}", "*", HTTP)
    for path, methods in routes:
        if not methods or path == "/web/*":
            assert f"`{path}`" in named, path


def test_every_curl_of_the_readme_goes_to_a_route(routes):
    paths = re.findall(r"(?:\$URL|http://127\.0\.0\.1:8000)(/[^\s\"'>`]*)", README)
    assert len(paths) > 12
    known = [re.escape(path).replace(r"\*", "[^/]+") for path, _ in routes]
    for path in paths:
        assert any(re.fullmatch(pattern, path) for pattern in known), path


# Links, files, commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path.read_text()), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page):
    folders = "anmei|db|actors|handlers|tests|scripts|docs|web"
    for name in re.findall(rf"`((?:{folders})/[\w/.-]+\.\w+)`", page.read_text()):
        if not name.startswith("data/"):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join([*blocks("sh", README), *re.findall(r"`([^`\n]+)`", README)])
    named = {
        word
        for line in re.findall(r"^ *make ([a-z ]+)", code, re.MULTILINE)
        for word in line.split()
    }
    assert {"run", "test"} <= named <= targets


def test_every_command_of_the_readme_exists():
    commands = next(
        action.choices
        for action in run.parser()._actions
        if hasattr(action, "choices") and action.choices
    )
    named = set(re.findall(r"run\.py ([a-z]+)", README))
    assert {"token", "doctor"} <= named <= set(commands)
    assert all(f"`{command}`" in README for command in commands)


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "web" / "index.html", ROOT / "web" / "lonely.js"], ids=lambda p: p.name
)
def test_every_command_names_the_python_that_has_the_packages(page):
    assert not re.search(r"(?<!\.venv/bin/)\bpython (?:run|client)\.py", page.read_text())


def test_the_python_clients_say_how_they_are_run():
    for page in (README, PROTOCOL):
        *_, code = blocks("python", page)
        line = next(
            line
            for block in blocks("sh", page)
            for line in block.split("\n")
            if "client.py" in line
        )
        wanted = re.search(r"(url, token, room, text)", code)
        assert wanted is not None
        words = shlex.split(line.replace("$(", "").replace(")", ""))
        assert words[:2] == [".venv/bin/python", "client.py"]
        assert len(words[2:]) == len(wanted[1].split(", "))
        assert "`websockets`" in page
        assert ".venv/bin/pip install websockets" in page


def test_no_two_blocks_of_the_readme_use_the_same_key_or_make_the_same_conversation():
    text = "\n".join(blocks("sh", README))
    for pattern in (r"Idempotency-Key: ([\w-]+)", r'"id": "([\w-]+)"'):
        found = re.findall(pattern, text)
        assert len(found) >= 3
        assert len(set(found)) == len(found)


def test_the_http_page_names_what_bodies_may_be_and_how_often_one_may_sign_in():
    assert all(f"`{kind}`" in HTTP for kind in JSON_TYPES)
    assert f"{demo.RATE:g} a second with a burst of {demo.BURST:g}" in HTTP


def test_the_presence_pages_name_the_one_clean_code():
    for page in (PROTOCOL, README):
        assert re.search(r"\b1000\b.{0,400}\b1001\b", page, re.DOTALL)


def test_the_versions_that_the_decision_names_are_those_that_are_installed():
    page = (DOCS / "decisions" / "0001-dependencies.md").read_text()
    text = (ROOT / "requirements.txt").read_text() + (ROOT / "requirements-test.txt").read_text()
    pins = re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE)
    assert len(pins) > 15
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for name, version in pins:
        assert any(name in row and version in row for row in rows), f"{name}=={version}"
