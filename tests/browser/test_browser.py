"""The browser itself: that it runs, and that what goes wrong in it fails a test."""

import asyncio
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser.conftest import is_local

PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<style>body { background: white } @media (prefers-color-scheme: dark) { body { background: black } }
</style><p>安美 Anmei</p>"""


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_pages_are_shown_and_their_scripts_run(page, url):
    page.goto(url)
    assert page.locator("p").inner_text() == "安美 Anmei"
    assert page.evaluate("1 + 1") == 2


def test_two_windows_share_nothing(windows, url):
    first, second = windows(), windows()
    for page in (first, second):
        page.goto(url)
    first.evaluate("localStorage.setItem('who', 'Ada')")
    assert second.evaluate("localStorage.getItem('who')") is None


def test_pictures_are_taken_light_and_dark_wide_and_narrow(page, url, pictures):
    page.goto(url)
    taken = pictures(page, "example")
    assert [path.stem.removeprefix("example-") for path in taken] == [
        *("light-wide", "light-narrow", "dark-wide", "dark-narrow")
    ]
    # A PNG says its width and height in bytes 16 to 24.
    sizes = [struct.unpack("!II", path.read_bytes()[16:24]) for path in taken]
    assert sizes == [(1280, 800), (390, 844)] * 2
    assert taken[0].read_bytes() != taken[2].read_bytes()


def test_an_error_in_the_page_is_a_problem(windows, url):
    page = windows()
    page.goto(url)
    with page.expect_event("pageerror"):
        page.evaluate("console.error('ouch'); setTimeout(() => { throw new Error('lost') })")
    assert [problem.split("\n")[0] for problem in windows.unexpected()] == [
        "console: ouch",
        "uncaught: lost",
    ]
    windows.expect_problem("ouch")
    windows.expect_problem("lost")
    assert windows.unexpected() == []


def test_a_request_to_another_machine_is_refused_and_a_problem(windows, url):
    page = windows()
    page.goto(url)
    page.evaluate("fetch('http://example.invalid/x').catch(() => null)")
    assert windows.problems[0] == "a request to another machine: http://example.invalid/x"
    windows.expect_problem("example.invalid")
    windows.expect_problem("ERR_FAILED")


async def test_an_event_loop_can_run_beside_the_browser(browser):
    await asyncio.sleep(0)
    assert browser.is_connected()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8000/x", True),
        ("ws://localhost:1/ws", True),
        ("data:,", True),
        ("https://fonts.example/", False),
        ("http://127.0.0.1.example/", False),
    ],
)
def test_only_this_machine_is_local(url, local):
    assert is_local(url) is local
