"""The test client, tried on a server that says what a test tells it to say."""

import asyncio
import json

import pytest
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from tests.support.client import Client, Disconnected, RequestFailed
from tests.support.http import Http
from tests.support.raw_socket import BINARY, CLOSE, PING, PONG, TEXT, RawSocket


class Script(WebSocketHandler):
    """Answers each frame as its own data say: `say` are sent first, then an ack or an error."""

    def select_subprotocol(self, subprotocols):
        return "anmei.v1" if "anmei.v1" in subprotocols else None

    def open(self, *args):
        self.reply("connection_established", {"via": self.request.headers.get("Authorization")})

    def on_message(self, message):
        frame = json.loads(message)
        for event in frame["data"].get("say", ()):
            self.reply(event["type"], event["data"])
        if code := frame["data"].get("close"):
            self.reply("disconnect", {"code": code, "reconnect": True})
            self.close(code, "as told")
        elif frame["type"] == "fail":
            error = {"code": "not_found", "message": "none", "retryable": False}
            self.write_message(json.dumps({"type": "error", "id": frame["id"], "error": error}))
        elif "id" in frame:
            self.write_message(json.dumps({"type": "ack", "id": frame["id"], "data": {"ok": 1}}))

    def reply(self, type, data):
        self.write_message(json.dumps({"type": type, "data": data, "ts": "2026-01-01T00:00:00Z"}))


@pytest.fixture
def app():
    return Application([("/ws/chat", Script)])


@pytest.fixture
def ws_url(http_server, http_port):
    return f"ws://127.0.0.1:{http_port}/ws/chat"


def message(number: int, id: str | None = None) -> dict:
    return {
        "type": "new_message",
        "data": {"conversation_id": "c", "change_seq": number, "id": id or f"m{number}"},
    }


async def test_it_presents_the_token_and_takes_what_the_server_establishes(ws_url):
    client = await Client.connect(ws_url, "t0ken")
    assert client.established == {"via": "Bearer t0ken"}
    await client.close()
    client = await Client.connect(ws_url, "t0ken", how="subprotocol")
    assert client.subprotocol == "anmei.v1"
    await client.close()


async def test_a_request_awaits_its_own_answer(ws_url):
    client = await Client.connect(ws_url, "t")
    assert await client.request("do", {}) == {"ok": 1}
    with pytest.raises(RequestFailed, match="not_found: none") as caught:
        await client.request("fail", {})
    assert not caught.value.retryable
    await client.close()


async def test_expect_finds_what_came_before_and_what_comes_later(ws_url):
    client = await Client.connect(ws_url, "t")
    await client.request("do", {"say": [message(1), message(2)]})
    assert (await client.expect("new_message", id="m2"))["change_seq"] == 2
    assert (await client.expect("new_message"))["id"] == "m1"
    waiting = asyncio.create_task(client.expect("new_message"))
    await client.send("do", {"say": [message(3)]})
    assert (await waiting)["id"] == "m3"
    assert [each["id"] for each in client.messages("c")] == ["m1", "m2", "m3"]
    assert (client.place("c"), client.gaps("c")) == (3, [])
    with pytest.raises(AssertionError, match="no new_message"):
        await client.expect("new_message", timeout=0.05)
    await client.close()


async def test_expect_nothing_sees_what_came_by_the_time_of_a_pong(ws_url):
    client = await Client.connect(ws_url, "t")
    await client.expect_nothing("new_message")
    await client.send("do", {"say": [message(1)]})
    with pytest.raises(AssertionError, match="unexpected"):
        await client.expect_nothing("new_message")
    await client.close()


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ([message(2), message(1)], "came after 2"),
        ([message(1), message(1, "other")], "came after 1"),
        ([message(1, "same"), message(2, "same")], "a message came twice"),
    ],
)
async def test_a_broken_order_or_a_duplicate_fails_the_next_step(ws_url, said, wrong):
    client = await Client.connect(ws_url, "t")
    with pytest.raises(AssertionError, match=f"P2 is broken: .*{wrong}"):
        await client.request("do", {"say": said})
    with pytest.raises(AssertionError, match="P2 is broken"):
        await client.close()


async def test_a_hole_is_counted_and_a_sync_may_show_things_again(ws_url):
    client = await Client.connect(ws_url, "t")
    await client.request("do", {"say": [message(1), message(4)]})
    assert client.gaps("c") == [2, 3]
    # A sync says where the client stands, so what lies behind that place comes anew.
    await client.send("do", {"say": [{"type": "sync_complete", "data": {"conversations": {}}}]})
    await client.sync({"c": 1})
    await client.request("do", {"say": [message(2), message(3), message(4)]})
    assert client.gaps("c") == []
    await client.close()


async def test_a_close_by_the_server_is_seen_with_its_code_and_farewell(ws_url):
    client = await Client.connect(ws_url, "t")
    await client.send("do", {"close": 4102})
    assert await client.expect_close(4102) == 4102
    assert client.close_reason == "as told"
    assert client.farewell == {"code": 4102, "reconnect": True}
    with pytest.raises(Disconnected):
        await client.expect("new_message")
    await client.close()


async def test_the_raw_socket_sends_any_bytes_and_sees_the_close_code(http_server, http_port):
    raw = await RawSocket.connect(http_port)
    assert raw.status == 101
    assert (await raw.read_frame()).opcode == TEXT
    await raw.send_frame(PING, b"here?")
    assert await raw.read_frame() == (True, 0, PONG, b"here?")
    await raw.send_frame(TEXT, b'{"type":"do","id":"1",', fin=False)
    await raw.send_frame(0, b'"data":{}}')
    assert b'"ack"' in (await raw.read_frame()).payload
    await raw.send_frame(CLOSE, b"\x0f\xa1bye")
    assert await raw.read_close() == (4001, "")
    assert await raw.read_end() == b""
    await raw.close()


async def test_the_raw_socket_tells_a_cut_from_a_close(http_server, http_port, expect_log):
    raw = await RawSocket.connect(http_port)
    # Frames with reserved bits make Tornado drop the connection at once.
    await raw.send_frame(BINARY, b"?", rsv=7, mask=None)
    assert await raw.read_close() is None
    await raw.close()
    refused = await RawSocket.connect(http_port, "/nothing-here")
    assert refused.status == 404
    await refused.close()
    expect_log("404 GET /nothing-here")


async def test_http_hands_back_any_status(http_server, http_port, expect_log):
    expect_log("404 GET /nothing-here")
    http = Http(f"http://127.0.0.1:{http_port}", "t")
    answer = await http.get("/nothing-here")
    assert (answer.status, answer.error) == (404, None)
    http.close()
