"""What a message of each kind may hold."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anmei.bodies import BODIES, attachment_ids, check_body
from anmei.errors import AnmeiError, ErrorCode

GOOD = {
    "image": {"attachment_id": "att_1", "width": 640, "height": 1, "alt": "A cat"},
    "file": {"attachment_id": "att_1", "name": "报告 2026.pdf", "size": 0},
    "voice": {"attachment_id": "att_1", "duration_ms": 900, "waveform": [0, 255]},
    "card": {
        "title": "Appointment",
        "text": "Monday\n10:00",
        "image_id": "att_2",
        "url": "https://example.org/a?b=c#d",
        "buttons": [{"label": "Yes", "action": "yes:1"}, {"label": "Map", "url": "http://[::1]/"}],
    },
    "system": {"event": "call.ended", "values": {"seconds": 3, "by": None, "why": "你好"}},
}


#: Bodies that are nearly right: the fields of good ones, with anything for values.
JSON = st.dictionaries(
    st.sampled_from(sorted({name for body in GOOD.values() for name in body})),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=9)
        | st.sampled_from(["http://a/", "call.ended", "att_1"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["label", "url", "action", "a"]), inner, max_size=3)
        ),
        max_leaves=5,
    ),
)


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def check(kind: str, body: object, privileged: bool = True) -> object:
    raw = msgspec.Raw(body if isinstance(body, bytes) else json.dumps(body).encode())
    text = check_body(kind, raw, privileged=privileged)
    return None if text is None else json.loads(text)


def refusal(kind: str, body: object, privileged: bool = True) -> AnmeiError:
    with pytest.raises(AnmeiError) as caught:
        check(kind, body, privileged)
    return caught.value


@pytest.mark.parametrize("kind", GOOD)
def test_a_body_of_each_kind_is_kept_and_what_is_unknown_in_it_is_not(kind: str) -> None:
    assert check(kind, GOOD[kind]) == GOOD[kind]
    assert check(kind, {**GOOD[kind], "unknown": [1]}) == GOOD[kind]


def test_every_kind_of_body_is_tried_here() -> None:
    assert GOOD.keys() == BODIES.keys()


@pytest.mark.parametrize("kind", GOOD)
def test_a_kind_that_needs_a_body_is_refused_without_one(kind: str) -> None:
    error = refusal(kind, None)
    assert error.code is ErrorCode.BAD_REQUEST
    assert f"type {kind} needs one, {{" in error.message


def test_a_text_has_no_body() -> None:
    assert check("text", None) is None
    assert check("text", b" null ") is None
    assert "type text has none" in refusal("text", {"title": "x"}).message


def test_only_a_service_sends_system_messages() -> None:
    assert refusal("system", GOOD["system"], privileged=False).code is ErrorCode.FORBIDDEN


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        ("image", {"width": 0}, "$.width"),
        ("image", {"attachment_id": "../x"}, "$.attachment_id"),
        ("image", {"attachment_id": None}, "$.attachment_id"),
        ("image", {"alt": "a\nb"}, "body.alt"),
        ("image", {"height": 1e9}, "$.height"),
        ("file", {"name": ""}, "body.name"),
        ("file", {"name": "x" * 256}, "1 to 255"),
        ("file", {"name": "fdp.\u202eexe"}, "body.name"),
        ("file", {"size": -1}, "$.size"),
        ("file", {"size": 2**53}, "$.size"),
        ("voice", {"waveform": [256]}, "$.waveform"),
        ("voice", {"waveform": [0] * 129}, "$.waveform"),
        ("voice", {"duration_ms": 86_400_001}, "$.duration_ms"),
        ("card", {"title": " "}, "body.title"),
        ("card", {"text": "x" * 4_097}, "at most 4096"),
        ("card", {"text": "\0"}, "body.text"),
        ("card", {"url": "javascript:alert(1)"}, "body.url"),
        ("card", {"url": "http://"}, "body.url"),
        ("card", {"url": "http://bank.example@evil.example/"}, "body.url"),
        ("card", {"url": "http://a b/"}, "body.url"),
        ("card", {"url": "https:\\\\evil"}, "body.url"),
        ("card", {"url": "http://[x/"}, "body.url"),
        ("card", {"url": "http://a:99999/"}, "body.url"),
        ("card", {"url": "http://a/" + "x" * 2_048}, "at most 2048"),
        ("card", {"buttons": [{"label": "x", "action": "a"}] * 7}, "$.buttons"),
        ("card", {"buttons": [{"label": "x"}]}, "body.buttons[0]: expected either url or action"),
        ("card", {"buttons": [{"label": "x", "url": "http://a/", "action": "b"}]}, "buttons[0]"),
        ("card", {"buttons": [{"label": "x", "url": "data:text/html,x"}]}, "buttons[0].url"),
        ("system", {"event": "Call ended"}, "$.event"),
        ("system", {"values": {"a": {"b": 1}}}, "$.values"),
        ("system", {"values": {"a": 2**60}}, "$.values"),
        ("system", {"values": {f"a{n}": n for n in range(33)}}, "$.values"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(kind: str, change: dict, named: str) -> None:
    assert named in refusal(kind, {**GOOD[kind], **change}).message


def test_a_refusal_says_what_a_body_of_that_kind_is() -> None:
    assert "{attachment_id, name, size}" in refusal("file", {"name": "x"}).message


@pytest.mark.parametrize("body", [[], 1, "x", b"{", b'{"title": NaN}', b"[" * 9_000])
def test_what_is_no_object_is_refused(body: object) -> None:
    assert refusal("card", body).code is ErrorCode.BAD_REQUEST


def test_a_body_has_a_limit_in_bytes() -> None:
    error = refusal("system", {"event": "a", "values": {"a": "x" * 16_384}})
    assert (error.code, "16384" in error.message) == (ErrorCode.TOO_LARGE, True)


def test_the_attachments_of_a_body_are_found() -> None:
    assert attachment_ids("image", {**GOOD["image"], "thumbnail_id": "t"}) == ("att_1", "t")
    assert attachment_ids("card", GOOD["card"]) == ("att_2",)
    assert attachment_ids("system", GOOD["system"]) == ()
    assert attachment_ids("text", None) == ()


@given(st.sampled_from(sorted(BODIES)), st.binary(max_size=200) | JSON.map(encode))
def test_whatever_is_sent_is_kept_or_refused(kind: str, body: bytes) -> None:
    try:
        text = check_body(kind, msgspec.Raw(body), privileged=True)
    except AnmeiError:
        return
    assert text is not None
    # What was kept is kept as it is when it is sent on.
    assert check_body(kind, msgspec.Raw(text.encode()), privileged=True) == text
