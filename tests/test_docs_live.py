"""The examples of the documents do what they say, on a real server."""

import asyncio
import contextlib
import sys
from typing import Any

import pytest

from anmei.close_codes import CloseCode
from tests.support.http import Http
from tests.support.pages import EVENTS, NOT_SENT_YET, PROTOCOL, README, blocks, events
from tests.support.process import ROOT
from tests.support.script import Refusals, live_at_once, never_there, scripted


async def use(anmei: Any, env: dict[str, str] | None = None) -> tuple[Any, str]:
    """A server with a conversation `team` of alice and bob, and alice's token."""
    server = await asyncio.to_thread(anmei, env)
    token = server.token("alice", name="Alice")
    body = {"kind": "group", "id": "team", "participant_ids": ["bob"]}
    made = await Http(server.url, token).request("POST", "/api/v1/conversations", body)
    assert made.status == 201, made
    return server, token


async def run_client(code: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@pytest.mark.gen_test(timeout=110)
@pytest.mark.parametrize("page", [README, PROTOCOL], ids=["README", "protocol"])
async def test_the_python_client_of_a_page_sends_and_reads(anmei, connect, page):
    server, token = await use(anmei)
    bob = await connect(server, "bob", name="Bob")
    process = await run_client(
        blocks("python", page)[-1], server.ws_url, token, "team", "Hello 你好"
    )
    try:
        assert process.stdout is not None
        message = await bob.expect("new_message", content="Hello 你好")
        assert message["sender_name"] == "Alice"
        assert (await process.stdout.readline()).decode() == "Alice: Hello 你好\n"
        await bob.send_message("team", "and you?")
        assert (await process.stdout.readline()).decode() == "Bob: and you?\n"
        await bob.expect("message_status_update", user_id="alice", last_read_seq=3)
    finally:
        process.kill()
        await process.wait()


@pytest.mark.gen_test(timeout=110)
async def test_the_python_client_of_the_protocol_comes_back_and_misses_nothing(anmei, connect):
    server, token = await use(anmei)
    process = await run_client(
        blocks("python", PROTOCOL)[-1], server.ws_url, token, "team", "before"
    )
    try:
        assert process.stdout is not None
        assert (await process.stdout.readline()).decode() == "Alice: before\n"
        await asyncio.to_thread(server.restart)
        said = {"content": "meanwhile", "sender_id": "bob", "sender_name": "Bob"}
        service = Http(server.url, server.token("shop", roles=["service"]))
        answer = await service.request("POST", "/api/v1/conversations/team/messages", said)
        assert answer.status == 201
        assert (await process.stdout.readline()).decode() == "Bob: meanwhile\n"
    finally:
        process.kill()
        await process.wait()


@pytest.mark.gen_test(timeout=110)
async def test_the_python_client_of_the_protocol_sends_again_what_was_refused_for_now():
    async with scripted(Refusals()) as server:
        process = await run_client(blocks("python", PROTOCOL)[-1], server.url, "t", "team", "Hello")
        try:
            assert process.stdout is not None
            assert (await process.stdout.readline()).decode() == "Alice: Hello\n"
            sends = await server.until("send_message", 3)
        finally:
            process.kill()
            await process.wait()
    assert len({frame["data"]["client_msg_id"] for frame in sends}) == 1
    assert len(server.of("sync")) >= 2
    assert server.connections == 1


@pytest.mark.gen_test(timeout=110)
async def test_the_python_client_of_a_page_tells_what_is_refused_for_good():
    for page in (README, PROTOCOL):
        async with scripted(never_there) as server:
            process = await run_client(
                blocks("python", page)[-1], server.url, "t", "elsewhere", "Hello"
            )
            try:
                assert process.stdout is not None
                line = (await process.stdout.readline()).decode()
            finally:
                process.kill()
                await process.wait()
        assert "not_found" in line
        assert "it is not_found" in line
        assert len(server.of("send_message")) == 1


@pytest.mark.gen_test(timeout=110)
async def test_the_python_client_of_the_protocol_ends_with_the_reason_when_it_is_sent_away():
    async with scripted(never_there, welcome=False) as server:
        process = await run_client(blocks("python", PROTOCOL)[-1], server.url, "t", "team", "Hello")
        output, _ = await process.communicate()
    assert output.decode() == "closed by the server: 4001 the token has expired\n"
    assert process.returncode == 1
    assert server.connections == 1


@pytest.mark.gen_test(timeout=110)
async def test_the_python_client_of_the_protocol_goes_back_with_a_restored_backup_alone():
    async with scripted(live_at_once, tops=(1, 3, 2)) as server:
        process = await run_client(blocks("python", PROTOCOL)[-1], server.url, "t", "team", "Hello")
        try:
            syncs = await server.until("sync", 3)
        finally:
            process.kill()
            await process.wait()
    assert [frame["data"]["positions"]["team"] for frame in syncs] == [1, 3, 2]


@pytest.mark.gen_test(timeout=240)
async def test_the_curls_of_the_readme_work_and_work_again(anmei):
    """Each block as it stands, but for the address and the place of Python."""
    server = await asyncio.to_thread(anmei)
    curls = [block for block in blocks("sh", README) if "curl " in block]
    assert len(curls) == 3
    statuses = []
    for block in curls * 2:
        script = (
            block.replace("http://127.0.0.1:8000", server.url)
            .replace(".venv/bin/python", sys.executable)
            .replace("curl ", "curl -sS -o /dev/null -w '%{http_code}\\n' ")
        )
        process = await asyncio.create_subprocess_exec(
            *("sh", "-euc", script),
            cwd=ROOT,
            env=server.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        assert process.returncode == 0, output
        assert len(output.split()) == block.count("curl ")
        statuses.append(output.decode().split())
    for first, again in zip(statuses[:3], statuses[3:], strict=True):
        assert set(first) <= {"200", "201"}
        assert set(again) <= {"200", "201"}
        # What was made the first time is there the second.
        assert first[0] == "201"
        assert again[0] == "200"


@pytest.mark.gen_test(timeout=110)
async def test_what_the_protocol_page_says_of_the_edges_is_so(anmei, connect):
    server, token = await use(anmei)
    alice = await connect(server, "alice", token=token)
    empty = await alice.send_message("team", "", "c-empty")
    other = await alice.send_message("team", "other words", "c-empty")
    assert other == {**empty, "duplicate": True}
    page = await alice.request("history", {"conversation_id": "team"})
    assert [message["content"] for message in page["messages"]] == [""]
    bob = await connect(server, "bob", device_id="laptop")
    read = await bob.request("mark_read", {"conversation_id": "team", "seq": empty["seq"]})
    none = {"conversation_id": "team", "message_ids": ["msg_01m7vwdwfdqb437hq2nr38tk52"]}
    assert await bob.request("mark_read", none) == read
    # Somebody who is added later, and lets the server remember, gets what came before.
    body = {"user_ids": ["carol"]}
    alice_http = Http(server.url, token)
    await alice_http.request("POST", "/api/v1/conversations/team/participants", body)
    carol = await connect(server, "carol", resume=False)
    assert (await carol.expect("new_message"))["seq"] == empty["seq"]
    await carol.send_raw(b"\x00", binary=True)
    await carol.expect_close(CloseCode.PROTOCOL_ERROR)


def shape(value: Any) -> Any:
    """The names of the fields, all the way down; of a list, those of its first item."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None


def fields(value: dict[str, Any]) -> Any:
    """The shape of an event's data, without what depends on who talks to whom."""
    value = dict(value)
    for free in ("presence", "extra_metadata", "last_message", "by_type", "by_priority"):
        value.pop(free, None)
    if isinstance(value.get("conversations"), dict):
        value["conversations"] = list(value["conversations"].values())
    for head in value.get("conversations") or ():
        head.pop("last_message", None)
    return shape(value)


@pytest.mark.gen_test(timeout=110)
async def test_the_events_of_a_real_server_have_the_fields_that_the_page_shows(anmei, connect):
    server, token = await use(anmei)
    alice = await connect(server, "alice", token=token, device_id="laptop")
    bob = await connect(server, "bob", name="Bob", resume=True)
    await bob.sync({"team": 0})
    sent = await bob.send_message("team", "Hello")
    id = {"message_id": sent["message_id"]}
    await bob.request("edit_message", {**id, "content": "Hello @Alice", "mentions": ["alice"]})
    await alice.request("react", {**id, "emoji": "👍"})
    await alice.request("pin_message", id)
    await alice.request("mark_read", {"conversation_id": "team", "seq": sent["seq"]})
    await alice.request("typing", {"conversation_id": "team"})
    await alice.request("join_session", {"conversation_id": "team"})
    await alice.request("leave_session", {"conversation_id": "team"})
    await alice.request("mute_conversation", {"conversation_id": "team", "seconds": 60})
    await alice.request("save_draft", {"conversation_id": "team", "text": "Shall we"})
    await alice.request("set_status", {"status": "busy"})
    admin = Http(server.url, server.token("root", roles=["admin"]))
    await admin.request("POST", "/api/v1/websocket/broadcast", {"message": "Maintenance"})
    service = Http(server.url, server.token("backend", roles=["service"]))
    post = {"recipient_ids": ["alice"], "content": "Maintenance"}
    ids = [
        (await service.request("POST", "/api/v1/messages", post)).body["message_id"] for _ in "123"
    ]
    await alice.request("mark_read", {"conversation_id": None, "message_ids": ids[:1]})
    assert (
        await Http(server.url, token).request("DELETE", f"/api/v1/inbox/{ids[0]}")
    ).status == 200
    await alice.request("mark_read", {"conversation_id": None, "seq": 3})
    await alice.expect("inbox_read")
    await alice.expect("unread_update")
    await alice.expect("unread_totals")
    await alice.expect("message_status_update", last_read_seq=sent["seq"])
    await bob.expect("system_notification")
    await bob.expect("user_status_update", status="busy")
    await admin.request("POST", "/api/v1/websocket/users/disconnect", {"user_id": "alice"})
    await alice.expect_close(CloseCode.DISCONNECTED)
    seen = {
        event.type: fields(event.data)
        for event in [*bob.events, *alice.events]
        if event.type in EVENTS
    }
    shown = {name: fields(data) for name, data in events().items()}
    # A token that is about to expire takes too long to wait for here.
    assert {name: shown[name] for name in seen} == seen
    assert set(EVENTS) - set(seen) == {*NOT_SENT_YET, "token_expiring"}


@pytest.mark.gen_test(timeout=110)
async def test_who_leaves_is_offline_at_once_and_whoever_comes_back_was_never_away(anmei, connect):
    """P7, as the chapter on presence has it, with a grace that nobody would wait for here."""
    server, token = await use(anmei, {"ANMEI_PRESENCE_GRACE": "300000"})
    bob = await connect(server, "bob")
    alice = await connect(server, "alice", token=token)
    await bob.expect("user_status_update", user_id="alice", status="online")
    await alice.close()
    await bob.expect("user_status_update", user_id="alice", status="offline")
    alice = await connect(server, "alice", token=token)
    await bob.expect("user_status_update", user_id="alice", status="online")
    await alice.abort()
    await connect(server, "alice", token=token)
    await bob.expect_nothing("user_status_update", user_id="alice")


@pytest.mark.gen_test(timeout=110)
async def test_whose_tab_is_closed_is_offline_after_the_grace(anmei, connect):
    server, token = await use(anmei)
    bob = await connect(server, "bob")
    alice = await connect(server, "alice", token=token)
    await bob.expect("user_status_update", user_id="alice", status="online")
    began = asyncio.get_running_loop().time()
    await alice.close(1001)  # as a browser does for a tab that is closed
    await bob.expect("user_status_update", user_id="alice", status="offline")
    assert asyncio.get_running_loop().time() - began > 3


@pytest.mark.gen_test(timeout=110)
async def test_a_server_that_is_stopped_says_when_to_come_back(anmei, connect):
    """P9, as the table of close codes has it."""
    server, token = await use(anmei)
    alice = await connect(server, "alice", token=token)
    sent = await alice.send_message("team", "Hello", "c-1")
    status = await asyncio.to_thread(server.terminate)
    await alice.expect_close(CloseCode.DRAINING)
    assert status == 0
    assert alice.farewell is not None
    assert alice.farewell["reconnect"]
    assert 500 <= alice.farewell["retry_after_ms"] <= 3_000
    await asyncio.to_thread(server.start)
    alice = await connect(server, "alice", token=token)
    again = await alice.send_message("team", "Hello", "c-1")
    assert again == {**sent, "duplicate": True}
