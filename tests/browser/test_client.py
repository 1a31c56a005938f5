"""The client on its own, in a real browser: what it does when a server misbehaves.

A correct server loses, doubles and garbles nothing, so the other side is a scripted socket here,
handed to the client's constructor; everything else is real. The tests of the page have
the same client on a real server.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

WEB = Path(__file__).parents[2] / "web"

# A client on a scripted socket: what the server says with `hear`, what the client said in `sent`.
SCRIPT = """
const { AnmeiClient } = await import('/web/client.js');
const sockets = [];
class Socket {
    constructor(url, protocols) {
        Object.assign(this, { url, protocols, readyState: 0, sent: [], closed: null });
        sockets.push(this);
    }
    send(text) { this.sent.push(JSON.parse(text)); }
    close(code) { this.closed = code; }
    hear(type, data, more = {}) {
        this.onmessage({ data: JSON.stringify({ type, data, ...more }) });
    }
    end(code, reason = '') { this.readyState = 3; this.onclose({ code, reason }); }
    of(type) { return this.sent.filter((frame) => frame.type === type); }
    establish(places = {}, settings = {}) {
        this.readyState = 1;
        const conversations = Object.entries(places).map(
            ([conversation_id, change_seq]) => ({ conversation_id, change_seq }));
        this.hear('connection_established', {
            user_id: 'me', conversations, has_more_conversations: false,
            heartbeat: { interval_ms: 30000, timeout_ms: 60000 },
            reconnect: { max_attempts: 3, base_delay_ms: 1000, max_delay_ms: 3000 },
            limits: { frame_bytes: 10000 }, ...settings });
    }
    synced(conversations = {}) { this.hear('sync_complete', { conversations, inbox: null }); }
    message(number, more = {}) {
        this.hear('new_message', { conversation_id: 'c', seq: number, change_seq: number,
            sender_id: 'you', content: `${number}`, ...more });
    }
}
const asked = [], seen = [], problems = [], events = [];
const client = new AnmeiClient({
    url: 'ws://127.0.0.1:9/ws/chat', WebSocket: Socket, random: () => 0.5,
    getToken: (how) => { asked.push(how.fresh); return 'a.b.c'; },
});
client.on('new_message', (message) => seen.push(message.seq));
client.on('problem', ({ kind }) => problems.push(kind));
for (const type of ['reset', 'filled', 'sent', 'send_failed']) {
    client.on(type, (detail) => events.push([type, detail]));
}
const until = async (holds) => {
    for (const end = Date.now() + 30000; !holds();) {
        if (Date.now() > end) throw new Error(`never: ${holds}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
};
const connect = async (...how) => {
    const count = sockets.length;
    client.connect();
    await until(() => sockets.length > count);
    sockets.at(-1).establish(...how);
    return sockets.at(-1);
};
// How long the client will wait after this, with a clock that stands still meanwhile.
const waitAfter = (act) => {
    const { now } = Date, moment = now();
    Date.now = () => moment;
    try {
        act();
        return client.state.retryAt - moment;
    } finally {
        Date.now = now;
    }
};
"""

Run = Callable[[str], Any]


@pytest.fixture
def run(browser: Browser, browser_thread: ThreadPoolExecutor) -> Iterator[Run]:
    """`run(script)` is what the script returns, run beside `SCRIPT` in a page of its own."""

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if name:
            route.fulfill(path=WEB / name, content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html>", content_type="text/html")

    def open_page() -> Page:
        page = browser.new_page()
        page.route("http://client.test/**", answer)
        page.goto("http://client.test/")
        return page

    page = browser_thread.submit(open_page).result()
    yield lambda script: page.evaluate(f"async () => {{ {SCRIPT} {script} }}")
    browser_thread.submit(page.close).result()


def test_it_says_who_it_is_and_syncs_from_every_head_it_was_given(run: Run) -> None:
    url, protocols, positions = run(
        """const socket = await connect({ c: 7, d: 2 });
        return [socket.url, socket.protocols, socket.of('sync')[0].data.positions];"""
    )
    assert "device_type=web" in url
    assert "resume=client" in url
    assert protocols == ["anmei.v1", "bearer.a.b.c"]
    assert positions == {"c": 7, "d": 2}


def test_after_a_reconnect_it_syncs_from_what_it_holds_and_not_from_the_new_heads(run: Run) -> None:
    positions = run(
        """const first = await connect({ c: 7, gone: 1 });
        first.synced(); first.message(8); first.end(4200);
        await until(() => sockets.length === 2);
        sockets[1].establish({ c: 12, fresh: 3 });
        return sockets[1].of('sync')[0].data.positions;"""
    )
    assert positions == {"c": 8, "fresh": 3}


def test_a_gap_is_reported_and_filled_from_history(run: Run) -> None:
    result = run(
        """const socket = await connect({ c: 5 });
        socket.synced();
        for (const number of [6, 9, 10]) socket.message(number);
        const request = socket.of('history')[0];
        socket.hear('ack', { conversation_id: 'c', messages: [{ seq: 7 }], has_more: false },
            { id: request.id });
        await until(() => events.length);
        return { seen, problems, asked: request.data, filled: events[0][1].messages };"""
    )
    assert result["seen"] == [6, 9, 10]
    assert result["problems"] == ["gap"]
    assert result["asked"] == {"conversation_id": "c", "after_seq": 6, "limit": 200}
    assert result["filled"] == [{"seq": 7}]


def test_a_duplicate_is_reported_and_not_shown(run: Run) -> None:
    seen, problems = run(
        """const socket = await connect({ c: 5 });
        socket.synced();
        for (const number of [6, 6, 5, 7]) socket.message(number);
        return [seen, problems];"""
    )
    assert seen == [6, 7]
    assert problems == ["duplicate", "duplicate"]


def test_a_replay_may_leave_numbers_out_but_must_have_as_many_events_as_it_says(run: Run) -> None:
    replay = """const socket = await connect({ c: 5 });
        for (const number of [6, 8, 9, 10]) socket.message(number);
        socket.synced({ c: { from: 5, to: 9, count: %d, reset: false } });
        socket.message(11);
        return [seen, problems];"""
    assert run(replay % 3) == [[6, 8, 9, 10, 11], []]
    assert run(replay % 4) == [[6, 8, 9, 10, 11], ["count"]]


def test_what_was_live_before_the_replay_was_declared_over_must_follow_it(run: Run) -> None:
    problems = run(
        """const socket = await connect({ c: 5 });
        for (const number of [6, 7, 9]) socket.message(number);
        socket.synced({ c: { from: 5, to: 7, count: 2, reset: false } });
        return problems;"""
    )
    assert problems == ["gap"]


def test_a_reset_is_told_with_the_place_where_its_page_begins(run: Run) -> None:
    result = run(
        """const socket = await connect({ c: 5 });
        socket.message(901); socket.message(902);
        socket.synced({ c: { from: 901, to: 902, count: 2, reset: true } });
        socket.message(903);
        return [events, problems];"""
    )
    assert result == [[["reset", {"conversation_id": "c", "from": 901}]], []]


def test_what_is_held_of_a_server_that_was_restored_from_a_backup_is_forgotten(run: Run) -> None:
    result = run(
        """client.on('restored', (detail) => events.push(['restored', detail]));
        let socket = await connect({ c: 5, d: 7 });
        socket.synced();
        socket.message(6);
        socket.end(1006);
        socket = await connect({ c: 4, d: 7 }, { inbox: { seq: 3, unread: 0 } });
        const [{ data }] = socket.of('sync');
        socket.synced();
        socket.message(5);
        socket.message(6);
        return [events, data.positions, seen, problems];"""
    )
    restored = [["restored", {"conversation_id": "c"}]]
    assert result == [restored, {"c": 4, "d": 7}, [6, 5, 6], []]


@pytest.mark.parametrize("code", [4001, 4003, 4008, 4009, 4010, 4013])
def test_a_code_of_the_4000s_ends_it(run: Run, code: int) -> None:
    assert run(f"(await connect()).end({code}, 'why'); return client.state;") == {
        "state": "stopped",
        "retryAt": None,
        "code": code,
        "reason": "why",
    }


@pytest.mark.parametrize("code", [4100, 4101, 4102])
def test_a_code_of_the_4100s_waits_as_long_as_the_server_says(run: Run, code: int) -> None:
    state, left = run(
        f"""const socket = await connect();
        socket.hear('disconnect', {{ code: {code}, reason: '', reconnect: true,
            retry_after_ms: 2500 }});
        const left = waitAfter(() => socket.end({code}));
        return [client.state.state, left];"""
    )
    assert state == "waiting"
    assert left == 2500


@pytest.mark.parametrize("code", [4200, 4201, 4203])
def test_a_code_of_the_4200s_comes_back_at_once_but_only_the_first_time(
    run: Run, code: int
) -> None:
    first, second = run(
        f"""const socket = await connect();
        const first = waitAfter(() => socket.end({code}));
        await until(() => sockets.length === 2);
        sockets[1].establish();
        return [first, waitAfter(() => sockets[1].end({code}))];"""
    )
    assert first == 0
    assert second == 1000  # half of the doubled second, as `random` gives a half


def test_an_expired_token_is_replaced_before_it_comes_back(run: Run) -> None:
    asked = run(
        """(await connect()).end(4202);
        await until(() => sockets.length === 2);
        sockets[1].establish(); sockets[1].end(4200);
        await until(() => sockets.length === 3);
        return asked;"""
    )
    assert asked == [False, True, False]


def test_a_token_that_is_about_to_expire_is_replaced_on_the_connection(run: Run) -> None:
    data, asked = run(
        """const socket = await connect();
        socket.hear('token_expiring', {});
        await until(() => socket.of('refresh_token').length);
        return [socket.of('refresh_token')[0].data, asked];"""
    )
    assert data == {"token": "a.b.c"}
    assert asked == [False, True]


def test_other_losses_back_off_with_jitter_up_to_the_limit_and_then_stop(run: Run) -> None:
    waits, state = run(
        """const waits = [];
        await connect();
        for (let count = 2; ; count += 1) {
            const left = waitAfter(() => sockets.at(-1).end(1006));
            if (client.state.state === 'stopped') break;
            waits.push(left);
            await until(() => sockets.length === count);
        }
        return [waits, client.state];"""
    )
    assert waits == [500, 1000, 1500]
    assert state == {"state": "stopped", "retryAt": None, "code": None, "reason": ""}


def test_the_disconnect_frame_speaks_where_the_browser_lost_the_code(run: Run) -> None:
    state = run(
        """const socket = await connect();
        socket.hear('disconnect', { code: 4009, reason: 'kicked', reconnect: false });
        socket.end(1006);
        return client.state;"""
    )
    assert (state["state"], state["code"], state["reason"]) == ("stopped", 4009, "kicked")


def test_waking_up_tries_at_once(run: Run) -> None:
    states = run(
        """(await connect()).end(1006);
        const before = client.state.state;
        client.wake();
        return [before, client.state.state];"""
    )
    assert states == ["waiting", "connecting"]


def test_a_connection_that_does_not_answer_its_ping_is_given_up(run: Run) -> None:
    state, closed = run(
        """const socket = await connect({}, { heartbeat: { interval_ms: 100, timeout_ms: 200 } });
        await until(() => socket.of('ping').length);
        await until(() => client.state.state === 'waiting');
        return [client.state.state, socket.closed];"""
    )
    assert state == "waiting"
    assert closed == 1000


def test_a_connection_that_answers_its_ping_stays(run: Run) -> None:
    pings, state = run(
        """const socket = await connect({}, { heartbeat: { interval_ms: 100, timeout_ms: 200 } });
        for (let count = 1; count <= 12; count += 1) {
            await until(() => socket.of('ping').length === count);
            socket.hear('pong', {});
        }
        return [socket.of('ping').length, client.state.state];"""
    )
    assert pings == 12
    assert state == "online"


def test_what_is_sent_without_a_connection_goes_out_in_order_with_the_next(run: Run) -> None:
    first, second = run(
        """for (const content of ['a', 'b']) client.send({ conversation_id: 'c', content });
        const socket = await connect({ c: 0 });
        client.send({ conversation_id: 'c', content: 'c' });
        socket.hear('ack', { seq: 1 }, { id: socket.of('send_message')[0].id });
        await until(() => events.length);
        socket.end(4200);
        await until(() => sockets.length === 2);
        sockets[1].establish({ c: 0 });
        return sockets.map((each) => each.of('send_message').map(({ data }) => data));"""
    )
    assert [data["content"] for data in first] == ["a", "b", "c"]
    assert second == first[1:]
    assert len({data["client_msg_id"] for data in first}) == 3


def test_a_retryable_error_sends_the_same_again_and_another_one_does_not(run: Run) -> None:
    sent, events = run(
        """const socket = await connect({ c: 0 });
        client.send({ conversation_id: 'c', content: 'a' });
        const fail = (at, error) =>
            socket.hear('error', undefined, { id: socket.of('send_message')[at].id, error });
        fail(0, { code: 'unavailable', message: '', retryable: true, retry_after_ms: 10 });
        await until(() => socket.of('send_message').length === 2);
        fail(1, { code: 'too_large', message: 'no', retryable: false });
        await until(() => events.length);
        return [socket.of('send_message').map(({ data }) => data),
            events.map(([type, { client_msg_id, error }]) => [type, client_msg_id, error.code])];"""
    )
    assert sent[0] == sent[1]
    assert events == [["send_failed", sent[0]["client_msg_id"], "too_large"]]


def test_a_frame_that_would_end_the_connection_is_not_sent(run: Run) -> None:
    code, count = run(
        """const socket = await connect({ c: 0 });
        client.send({ conversation_id: 'c', content: 'x'.repeat(10001) });
        await until(() => events.length);
        return [events[0][1].error.code, socket.of('send_message').length];"""
    )
    assert code == "too_large"
    assert count == 0


def test_what_came_is_told_as_delivered_once_for_many(run: Run) -> None:
    frames = run(
        """const socket = await connect({ c: 0 });
        socket.synced();
        for (const number of [1, 2, 3]) socket.message(number);
        socket.message(4, { sender_id: 'me' });
        await until(() => socket.of('delivered').length);
        return socket.of('delivered');"""
    )
    assert frames == [{"type": "delivered", "data": {"conversation_id": "c", "seq": 3}}]
