from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from peewee import Database

from anmei.commands_inbox import PostMessage, RemoveFromInbox
from anmei.errors import AnmeiError, ErrorCode
from db.link import fetch
from db.store import Store
from tests.db.chat import NOW, add, create, do, key, remove, reply, send
from tests.db.search import contents, index, look

CHINESE = ("今天天气很好", "明天的天气怎么样", "我们去公园玩吧")


@pytest.fixture
def rooms(store: Store) -> Store:
    """Ann is in both rooms, Bob in the first, Eve in none."""
    reply(store, create("one", "ann", "bob"))
    reply(store, create("two", "ann", "cid"))
    do(store, *[send("one", "bob", text) for text in CHINESE])
    do(store, send("two", "cid", "The quick brown fox"), send("two", "ann", "A CAFÉ, quick!"))
    do(store, send("one", "ann", "quick quick", created_at=NOW + 9_000))
    index(store)
    return store


def test_words_are_found_in_what_one_may_read_the_newest_first(rooms: Store) -> None:
    quick = ["quick quick", "A CAFÉ, quick!", "The quick brown fox"]
    assert contents(look(rooms, "ann", "quick")) == quick
    assert contents(look(rooms, "bob", "QUICK")) == quick[:1]
    assert contents(look(rooms, "eve", "quick")) == []
    assert contents(look(rooms, "ann", "quick fox")) == quick[2:]
    assert contents(look(rooms, "ann", "cafe")) == quick[1:2]
    assert contents(look(rooms, "ann", "qui")) == []


def test_chinese_is_found_by_any_part_that_stands_there(rooms: Store) -> None:
    assert contents(look(rooms, "ann", "天气")) == [CHINESE[1], CHINESE[0]]
    assert contents(look(rooms, "ann", "天")) == [CHINESE[1], CHINESE[0]]
    assert contents(look(rooms, "ann", "今天天气")) == [CHINESE[0]]
    assert contents(look(rooms, "ann", "天气 公园")) == []
    assert contents(look(rooms, "ann", "去公园")) == [CHINESE[2]]
    # Every pair of it stands in the first one, but not in this order.
    assert contents(look(rooms, "ann", "天今天气")) == []


def test_phrases_stand_side_by_side_and_excluded_words_nowhere(rooms: Store) -> None:
    assert contents(look(rooms, "ann", '"quick brown"')) == ["The quick brown fox"]
    assert contents(look(rooms, "ann", '"brown quick"')) == []
    assert contents(look(rooms, "ann", "quick -fox -cafe")) == ["quick quick"]
    assert contents(look(rooms, "ann", '天气 -"怎么"')) == [CHINESE[0]]


def test_a_search_is_narrowed_by_sender_place_kind_and_time(rooms: Store) -> None:
    do(rooms, send("one", "bob", "", message_type="card", body='{"title":"Lunch quick"}'))
    index(rooms)
    assert contents(look(rooms, "ann", "quick", sender_key=key("cid"))) == ["The quick brown fox"]
    assert contents(look(rooms, "ann", sender_key=key("CID"))) == []
    assert contents(look(rooms, "ann", "天", conversation_key=key("two"))) == []
    assert len(contents(look(rooms, "ann", conversation_key=key("one")))) == 5
    (card,) = look(rooms, "bob", "lunch", kind="card")["results"]
    assert card["message"]["body"] == {"title": "Lunch quick"}
    assert contents(look(rooms, "bob", kind="image")) == []
    late = {"after": NOW + 8_000, "before": NOW + 10_000}
    assert contents(look(rooms, "ann", "quick", **late)) == ["quick quick"]
    assert contents(look(rooms, "ann", "quick", before=NOW + 9_000, kind="text"))[1:] == [
        "The quick brown fox"
    ]


def test_a_conversation_that_one_is_not_in_is_not_there(rooms: Store) -> None:
    for user, room in (("eve", "one"), ("bob", "two"), ("ann", "nowhere")):
        with pytest.raises(AnmeiError) as caught:
            look(rooms, user, "quick", conversation_key=key(room))
        assert caught.value.code is ErrorCode.NOT_FOUND


def test_who_was_removed_finds_nothing_more_and_who_came_finds_what_was_before(
    rooms: Store,
) -> None:
    do(rooms, remove("one", "ann", "bob"), add("two", "ann", "dan"))
    assert contents(look(rooms, "bob", "quick")) == []
    assert contents(look(rooms, "dan", "fox")) == ["The quick brown fox"]


def test_pages_hold_everything_once(rooms: Store) -> None:
    do(rooms, *[send("one", "bob", f"page {n} 翻页") for n in range(47)])
    index(rooms, batch=10)
    for q in ("page", "翻页", '"page" -3', "page 翻页 -5"):
        whole = contents(look(rooms, "ann", q, limit=50))
        found: list[str] = []
        cursor, pages = None, 0
        while pages == 0 or cursor is not None:
            page = look(rooms, "ann", q, cursor=cursor, limit=7)
            assert len(page["results"]) <= 7
            found += contents(page)
            cursor = page["next_cursor"]
            pages += 1
        assert found == whole
        assert pages <= 8
    with pytest.raises(AnmeiError, match="cursor"):
        look(rooms, "ann", "page", cursor="no")


def test_a_page_ends_with_the_time_and_the_next_one_goes_on_there(
    rooms: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(rooms, *[send("one", "bob", f"late {n}") for n in range(19)])
    index(rooms)
    clock = SimpleNamespace(now=0.0)

    def tick() -> float:
        clock.now += 0.1
        return clock.now

    monkeypatch.setattr("db.query_search.time", SimpleNamespace(monotonic=tick))
    found: list[list[str]] = []
    cursor = None
    while not found or cursor is not None:
        page = look(rooms, "ann", "late", cursor=cursor, limit=50, timeout_ms=450)
        found.append(contents(page))
        cursor = page["next_cursor"]
    assert [len(page) for page in found] == [5, 5, 5, 4]
    assert [text for page in found for text in page] == [f"late {n}" for n in reversed(range(19))]


def test_a_snippet_shows_the_first_place_in_parts(rooms: Store) -> None:
    do(rooms, send("one", "bob", "x" * 5 + " " + "y " * 300 + "<b>Needle</b> 针 " + "z" * 3_000))
    index(rooms)
    (found,) = look(rooms, "ann", "针 needle")["results"]
    parts = found["snippet"]
    assert [part["text"] for part in parts if part["match"]] == ["Needle", "针"]
    assert [parts[0]["text"], parts[-1]["text"]] == ["…", "…"]
    assert len("".join(part["text"] for part in parts)) == 162
    assert found["message"]["content_truncated"] is True
    assert len(found["message"]["content"]) == 2_048


def test_an_inbox_is_searched_by_its_owner_alone(rooms: Store) -> None:
    post = PostMessage(
        message_id="msg_i",
        sender_key=key("shop"),
        sender_name="Shop",
        sender_type="system",
        client_msg_id="c",
        content="Your quick parcel",
        title="快递",
        created_at=NOW,
        recipient_keys=(key("ann"), key("eve")),
    )
    do(rooms, post)
    index(rooms)
    assert contents(look(rooms, "eve", "quick")) == ["Your quick parcel"]
    assert contents(look(rooms, "ann", "quick"))[0] == "Your quick parcel"
    assert contents(look(rooms, "bob", "parcel")) == []
    message = look(rooms, "eve", "快递")["results"][0]["message"]
    assert (message["conversation_id"], message["title"], message["is_read"]) == (
        None,
        "快递",
        False,
    )
    assert contents(look(rooms, "eve", sender_key=key("shop"))) == ["Your quick parcel"]
    assert contents(look(rooms, "ann", "parcel", conversation_key=key("one"))) == []
    do(rooms, RemoveFromInbox(user_key=key("eve"), message_id="msg_i", at=NOW))
    assert contents(look(rooms, "eve", "parcel")) == []
    assert contents(look(rooms, "ann", "parcel")) == ["Your quick parcel"]


def test_a_search_that_takes_too_long_says_so_and_leaves_the_connection_good(
    rooms: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from db import query_search

    def slow(database: Database) -> bool:
        fetch(
            database,
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
            " SELECT count(*) FROM n",
        )
        return True

    with monkeypatch.context() as patch:
        patch.setattr(query_search, "up_to_date", slow)
        waiting: list[Future[Any]] = []
        with pytest.raises(AnmeiError) as caught:
            look(rooms, "ann", "quick", timeout_ms=50)
        assert not waiting
    assert caught.value.code is ErrorCode.TIMEOUT
    assert "50 ms" in caught.value.message
    assert len(contents(look(rooms, "ann", "quick"))) == 3
