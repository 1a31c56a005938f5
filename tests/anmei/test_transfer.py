"""A file that is not as it was written is noticed, and the line is named."""

import hashlib
import io
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anmei.errors import AnmeiError
from anmei.settings_table import TABLE
from anmei.transfer import MAX_LINE_BYTES, Sent, Writer, read

AT = "2026-01-02T03:04:05.678Z"
HEAD = {
    **{"conversation_id": "room", "kind": "group", "title": None, "owner_id": "ann"},
    **{"created_at": AT, "updated_at": AT, "last_seq": 2, "change_seq": 2, "meta_seq": 1},
    **{"participants": 1, "messages": 1},
}
PERSON = {
    **{"user_id": "ann", "name": "Ann", "role": "owner", "active": True, "joined_at": AT},
    **{"joined_seq": 1, "left_at": None, "last_delivered_seq": 0, "last_read_seq": 0},
}
MESSAGE = {
    **{"id": "msg_1", "seq": 2, "change_seq": 2, "sender_id": "ann", "sender_name": "Ann"},
    **{"sender_type": "chat", "message_type": "text", "content": "hello", "is_important": False},
    **{"priority": "normal", "reply_to": None, "extra_metadata": None, "body": None},
    **{"link_preview": None, "client_msg_id": "c1", "created_at": AT, "edited_at": None},
    **{"recalled_at": None, "mentions": [], "forwarded_from": None, "reactions": []},
    **{"pinned_at": None, "pinned_by": None},
}
RECALLED = {"content": "", "recalled_at": AT}
REACTION = {"message_id": "msg_1", "user_id": "ann", "emoji": "👍", "created_at": AT}


def lines(
    head: dict[str, Any] = HEAD,
    person: dict[str, Any] = PERSON,
    message: dict[str, Any] = MESSAGE,
    reaction: dict[str, Any] = REACTION,
) -> list[bytes]:
    writer = Writer()
    return [
        writer.head(**head),
        writer.line("participant", person),
        writer.line("message", message),
        writer.line("reaction", reaction),
        writer.end(),
    ]


def refusal(data: bytes) -> str:
    with pytest.raises(AnmeiError) as caught:
        list(read(io.BytesIO(data)))
    return caught.value.message


def test_what_was_written_is_read() -> None:
    found = list(read(io.BytesIO(b"".join(lines()))))
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert found[2][1].content == "hello"  # type: ignore[union-attr]


def test_the_longest_message_that_any_setting_allows_comes_back() -> None:
    (longest,) = (
        get_args(row.type)[1].le for row in TABLE if row.name == "ANMEI_LIMIT_CONTENT_BYTES"
    )
    # The longest way to write a byte.
    said = {"content": "\1" * longest, "extra_metadata": {"a": "\1" * 1_300}}
    data = b"".join(lines(message={**MESSAGE, **said}))
    assert [line.content for _, line in read(io.BytesIO(data)) if isinstance(line, Sent)] == [
        said["content"]
    ]


def test_the_last_line_holds_the_hash_of_all_before_it() -> None:
    *before, last = lines()
    assert json.loads(last)["sha256"] == hashlib.sha256(b"".join(before)).hexdigest()


def test_a_file_that_was_cut_anywhere_is_noticed() -> None:
    whole = b"".join(lines())
    for end in range(len(whole)):
        assert "the file ends" in refusal(whole[:end])


@pytest.mark.parametrize("number", range(5))
def test_a_line_that_is_missing_or_there_twice_is_noticed(number: int) -> None:
    all = lines()
    refusal(b"".join(all[:number] + all[number + 1 :]))
    refusal(b"".join(all[: number + 1] + all[number:]))


def test_a_change_is_noticed_by_the_hash() -> None:
    data = b"".join(lines()).replace(b"hello", b"hullo")
    assert (
        refusal(data) == "line 5: sha256 is not that of the lines before it: the file was changed"
    )


@pytest.mark.parametrize(
    ("line", "change", "named"),
    [
        ("head", {"version": 2}, "line 1: .*version"),
        ("head", {"owner_id": "../x"}, "line 1: .*owner_id"),
        ("head", {"title": "a\0b"}, "line 1: title"),
        ("person", {"joined_at": "yesterday"}, "line 2: .*joined_at"),
        ("person", {"joined_at": "2026-02-31T03:04:05.678Z"}, "line 2: "),
        ("person", {"role": "!owner"}, "line 2: .*role"),
        ("message", {"id": 1}, r"line 3: .*id"),
        ("message", {"seq": 0}, "line 3: .*seq"),
        ("message", {"unknown": 0}, "line 3: .*unknown"),
        ("message", {"content": "a\0b"}, "line 3: content"),
        ("message", {"content": "x" * MAX_LINE_BYTES}, f"line 3: at most {MAX_LINE_BYTES} bytes"),
        ("message", {"body": {}}, "line 3: body"),
        ("message", {"message_type": "image"}, "line 3: body"),
        ("message", {"extra_metadata": [1]}, "line 3: extra_metadata"),
        ("message", {"recalled_at": AT}, "line 3: .*a recalled message holds nothing"),
        ("message", {"pinned_at": "2026-02-31T03:04:05.678Z"}, "line 3: "),
        *(
            ("message", {**RECALLED, **said}, "line 3: .*a recalled message holds nothing")
            for said in (
                {"extra_metadata": {"a": 1}},
                {"forwarded_from": {"sender_name": "Bob"}},
                {"reactions": [{"emoji": "👍", "count": 1, "user_ids": ["ann"]}]},
                {"pinned_at": AT},
            )
        ),
        ("message", {"link_preview": {"url": 1}}, "line 3: .*link_preview"),
        ("reaction", {"message_id": "msg_2"}, "line 4: a reaction stands behind its message"),
        ("reaction", {"emoji": ""}, "line 4: .*emoji"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(
    line: str, change: dict[str, Any], named: str
) -> None:
    plain = {"head": HEAD, "person": PERSON, "message": MESSAGE, "reaction": REACTION}[line]
    data = b"".join(lines(**{line: {**plain, **change}}))
    with pytest.raises(AnmeiError, match=named):
        list(read(io.BytesIO(data)))


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"[]\n", b"\xff\n", b"[" * 9_000 + b"\n"])
def test_what_is_no_export_is_refused_at_its_first_line(data: bytes) -> None:
    assert refusal(data).startswith("line 1: ")


@given(st.data())
def test_a_file_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    whole = bytearray(b"".join(lines()))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    refusal(bytes(whole))
