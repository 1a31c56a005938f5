"""What an application's own backend publishes: delivered if it is signed, new, and for there."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anmei.envelope import MAX_BYTES, BadPacket
from anmei.outside import BROADCAST, RESERVED, WINDOW_MS, Outside

SECRET, NOW = "s" * 32, 1_800_000_000_000
CHANNEL = "user:ada:messages"


def signed(body: str, secret: str = SECRET) -> bytes:
    """As docs/redis.md shows it."""
    key = hmac.new(secret.encode(), b"anmei outside 1", hashlib.sha256).digest()
    mac = hmac.new(key, body.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return json.dumps({"body": body, "hmac": mac}).encode()


def message(channel: str = CHANNEL, secret: str = SECRET, **changes: object) -> bytes:
    body = {
        "channel": channel,
        "id": "m1",
        "sent_at": NOW,
        "type": "notification",
        "data": {"title": "你好"},
    }
    return signed(json.dumps(body | changes), secret)


@pytest.fixture
def outside() -> Outside:
    return Outside([SECRET, "o" * 32], lambda: NOW)


EVENT = {"type": "notification", "data": {"title": "你好"}}


def test_a_message_for_a_user_is_for_that_users_devices(outside):
    assert outside.read(CHANNEL, message()) == {"kind": "users", "users": ["default/ada"], **EVENT}


def test_a_message_names_its_tenant(outside):
    envelope = outside.read(CHANNEL, message(tenant="acme"))
    assert envelope["users"] == ["acme/ada"]


def test_a_broadcast_is_for_everybody_of_a_tenant(outside):
    envelope = outside.read(BROADCAST, message(BROADCAST, tenant="acme"))
    assert envelope == {"kind": "tenant", "tenant": "acme", **EVENT}


def test_the_older_secret_still_counts(outside):
    assert outside.read(CHANNEL, message(secret="o" * 32))["kind"] == "users"


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (message(secret="x" * 32), "HMAC"),
        (message("user:bob:messages"), "another one"),
        (message(sent_at=NOW - WINDOW_MS - 1), "clock"),
        (message(sent_at=NOW + WINDOW_MS + 1), "clock"),
        (message(type="Bad Type"), "expected"),
        (message(data=[]), "expected"),
        (message(id=""), "expected"),
        (message(tenant="a/b"), "expected"),
        (message(data={"n": float("nan")}), "expected"),
        (signed("[" * 5_000), "expected"),
        (signed("not json"), "expected"),
        (b"\xff", "expected"),
        (b'{"body":"{}","hmac":1}', "expected"),
        (b" " * (MAX_BYTES + 1), "at most"),
        *((message(type=type), "own") for type in RESERVED),
    ],
)
def test_what_is_forged_or_malformed_is_refused(outside, data, wrong):
    with pytest.raises(BadPacket, match=wrong):
        outside.read(CHANNEL, data)


def test_no_backend_speaks_of_marks_counts_or_preferences(outside):
    """A client drops what is older than such a word, and would drop the server's own then."""
    for type in ("message_status_update", "unread_update", "unread_totals", "preference_update"):
        with pytest.raises(BadPacket, match="own"):
            outside.read(CHANNEL, message(type=type))


@pytest.mark.parametrize("user_id", ["*", "", "a:b", "ada\n", "a b", "x" * 129])
def test_a_channel_that_names_no_user_is_refused(outside, user_id):
    channel = f"user:{user_id}:messages"
    with pytest.raises(BadPacket, match="user id"):
        outside.read(channel, message(channel))


def test_what_came_before_is_refused_for_as_long_as_it_could_pass():
    now = [NOW]
    outside = Outside([SECRET], lambda: now[0])
    early = message(sent_at=NOW + WINDOW_MS)
    outside.read(CHANNEL, early)
    for later in (0, WINDOW_MS, 2 * WINDOW_MS):
        now[0] = NOW + later
        with pytest.raises(BadPacket, match="before"):
            outside.read(CHANNEL, early)
    now[0] += 1
    with pytest.raises(BadPacket, match="clock"):
        outside.read(CHANNEL, early)


@given(st.binary(max_size=200), st.text(max_size=50))
def test_whatever_comes_nothing_but_bad_packet_is_raised(data, text):
    outside = Outside([SECRET], lambda: NOW)
    body = text.encode("utf-8", "ignore").decode()
    for bytes_ in (data, signed(body), json.dumps({"body": body, "hmac": "0" * 64}).encode()):
        with pytest.raises(BadPacket):
            outside.read(CHANNEL, bytes_)
