"""A conversation goes to a file and comes back, on either database, whatever happens in between."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

import run
from actors.exporter import export
from actors.importer import BATCH, Importer
from actors.transfer import export_to, import_from
from anmei.commands_changes import EditMessage, PinMessage, React, RecallMessage
from anmei.commands_previews import SetPreview
from anmei.errors import AnmeiError, ErrorCode
from db import queries
from db.store import Store, opened
from tests.db.chat import NOW, add, create, delivered, do, key, read, remove, reply, send

BODY = '{"title":"你好","buttons":[{"label":"x","action":"y"}]}'
URL = "http://a.example/"
PREVIEW = (
    '{"url":"http://a.example/","title":"A","description":null,"image_url":null,"site_name":null}'
)


def open_store(url: str) -> Any:
    return opened(url, timeout_ms=30_000)


def talk(store: Store) -> None:
    """A conversation with something of everything in it."""
    do(store, create("room", "ann", "bob", "cid", title="Room 房间"))
    first = reply(store, send("room", "ann", "SECRET", extra_metadata='{"a":[1.5,null]}'))
    card = reply(store, send("room", "bob", "", message_type="card", body=BODY))
    do(store, send("room", "cid", "re: card", reply_to=card["message"]["id"], is_important=True))
    linked = reply(store, send("room", "ann", URL, mentions=("bob", "@all")))["message"]
    do(store, remove("room", "ann", "cid"), add("room", "ann", "dan"))
    do(store, *[send("room", "ann", f"{n} \u2028 é", created_at=NOW + n) for n in range(BATCH + 9)])
    do(store, read("room", "bob", 50), delivered("room", "dan", 20))

    by = {"at": NOW + 9_000}
    reactions = [
        React(message_id=card["message"]["id"], by_key=key(user), emoji=emoji, **by)
        for user in ("bob", "ann", "dan")
        for emoji in ("👍", "❤️")
    ]
    do(
        store,
        RecallMessage(message_id=first["message"]["id"], by_key=key("ann"), **by),
        *reactions,
        PinMessage(message_id=card["message"]["id"], by_key=key("ann"), **by),
        EditMessage(message_id=linked["id"], by_key=key("ann"), content=f"{URL} @bob", **by),
        SetPreview(key("room"), linked["id"], URL, PREVIEW),
    )


def exported(store: Store, folder: Path) -> bytes:
    path = folder / "exported.jsonl"
    export_to(store, "acme", "room", str(path))
    assert [each.name for each in folder.iterdir() if "partial" in each.name] == []
    return path.read_bytes()


def seen(store: Store, user: str = "ann") -> tuple[Any, Any]:
    view = store.read(queries.attach_view, key(user), "phone", 9).result(30)
    return view.heads, store.read(queries.unread, key(user)).result(30)


def stop(count: int) -> None:
    raise KeyboardInterrupt


def tell(count: int) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("from")
    with open_store(f"sqlite:///{folder}/anmei.db") as store:
        talk(store)
        return exported(store, folder)


def test_a_conversation_goes_to_the_other_database_and_back_and_is_the_same(
    tmp_path: Path, postgres_url: str
) -> None:
    path = tmp_path / "file"
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        talk(store)
        first = exported(store, tmp_path)
        path.write_bytes(first)
        was = [seen(store, user) for user in ("ann", "bob", "cid")]
        talked = store.read(queries.history, None, key("room"), None, None, 200).result(30)
    assert b"SECRET" not in first

    with open_store(postgres_url) as store:
        importer = Importer(store, "acme", io.BytesIO(first))
        importer.check(tell)
        with pytest.raises(KeyboardInterrupt):
            importer.write(stop)
        # Half of it is there, and nobody sees any of it.
        assert seen(store, "ann")[0] == []
        assert store.read(queries.conversation, None, key("room")).result(30) is None

        assert "room: 23 messages imported" in import_from(store, "acme", str(path))
        assert "room: 0 messages imported" in import_from(store, "acme", str(path))
        assert [seen(store, user) for user in ("ann", "bob", "cid")] == was
        assert store.read(queries.history, None, key("room"), None, None, 200).result(30) == talked
        second = exported(store, tmp_path)
        again = reply(store, send("room", "ann", "more"))["message"]
        assert again["seq"] == was[0][0][0]["change_seq"] + 1
    assert second == first

    with open_store(f"sqlite:///{tmp_path}/b.db") as store:
        import_from(store, "acme", str(path))
        assert exported(store, tmp_path) == first


def test_a_newer_file_after_half_of_an_older_one_leaves_nothing_of_the_older_one(
    tmp_path: Path, postgres_url: str
) -> None:
    path = tmp_path / "file"
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        do(store, create("room", "ann", "bob"))
        ids = [reply(store, send("room", "ann", "SECRET"))["message"]["id"] for _ in range(2)]
        by = {"by_key": key("bob"), "at": NOW}
        do(store, React(message_id=ids[1], emoji="👍", **by))
        older = exported(store, tmp_path)
        do(store, React(message_id=ids[1], emoji="👍", on=False, **by))
        do(store, RecallMessage(message_id=ids[0], by_key=key("ann"), at=NOW))
        do(store, EditMessage(message_id=ids[1], by_key=key("ann"), at=NOW, content="x"))
        do(store, send("room", "bob"), read("room", "bob", 4), remove("room", "bob", "bob"))
        newer = exported(store, tmp_path)
    for url in (f"sqlite:///{tmp_path}/b.db", postgres_url):
        with open_store(url) as store:
            importer = Importer(store, "acme", io.BytesIO(older))
            importer.check(tell)
            with pytest.raises(KeyboardInterrupt):
                importer.write(stop)
            path.write_bytes(newer)
            assert "room: 1 messages imported" in import_from(store, "acme", str(path))
            assert exported(store, tmp_path) == newer


def test_reactions_that_change_during_an_export_come_back_as_one_sum(
    tmp_path: Path, postgres_url: str
) -> None:
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        do(store, create("room", "ann", "bob", "dan"))
        ids = [reply(store, send("room", "ann"))["message"]["id"] for _ in range(2)]

        def react(user: str, message: str, emoji: str, on: bool = True) -> Any:
            return React(message_id=message, by_key=key(user), at=NOW, emoji=emoji, on=on)

        do(store, react("bob", ids[0], "b"), react("ann", ids[0], "a"), react("bob", ids[1], "b"))
        meanwhile = [react("dan", ids[0], "b"), react("ann", ids[0], "a", False)]
        meanwhile += [react("ann", ids[0], "c"), react("bob", ids[1], "b", False)]

        async def read(query: Any, *args: Any) -> Any:
            if query is queries.export_reactions:
                do(store, *meanwhile)
            return store.read(query, *args).result(30)

        async def whole() -> bytes:
            return b"".join([lines async for lines, _ in export(read, key("room"))])

        (tmp_path / "file").write_bytes(asyncio.run(whole()))
    for url in (f"sqlite:///{tmp_path}/b.db", postgres_url):
        with open_store(url) as store:
            import_from(store, "acme", str(tmp_path / "file"))
            page = store.read(queries.history, None, key("room"), None, None, 9).result(30)
            assert [message["reactions"] for message in page["messages"]] == [
                [
                    {"emoji": "b", "count": 2, "user_ids": ["bob", "dan"]},
                    {"emoji": "c", "count": 1, "user_ids": ["ann"]},
                ],
                [],
            ]
            left = reply(store, react("bob", ids[0], "b", False))["message"]["reactions"]
            assert left[0] == {"emoji": "b", "count": 1, "user_ids": ["dan"]}


def test_an_id_that_is_taken_is_left_as_it_is(tmp_path: Path, file: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(file)
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        do(store, create("room", "eve"))
        with pytest.raises(AnmeiError, match="another conversation has this id") as caught:
            import_from(store, "acme", str(path))
        assert caught.value.code is ErrorCode.CONFLICT
        # The same messages in another tenant: ids of messages are there once.
        import_from(store, "other", str(path))
        with pytest.raises(AnmeiError, match="lines 2 to .* message of another conversation"):
            import_from(store, "third", str(path))
        assert len(seen(store, "eve")[0]) == 1


def test_an_id_that_is_taken_meanwhile_is_said(tmp_path: Path, file: bytes) -> None:
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        importer = Importer(store, "acme", io.BytesIO(file))
        importer.check(tell)

        def meanwhile(count: int) -> None:
            do(store, create("room", "eve"))

        with pytest.raises(AnmeiError, match="another conversation has this id") as caught:
            importer.write(meanwhile)
        assert caught.value.code is ErrorCode.CONFLICT
        assert [head["owner_id"] for head in seen(store, "eve")[0]] == ["eve"]


def test_a_conversation_that_went_on_is_not_merged(tmp_path: Path, file: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(file)
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        import_from(store, "acme", str(path))
        new = reply(store, send("room", "ann", "newer"))["message"]["id"]
        path.write_bytes(exported(store, tmp_path))
        assert "0 messages" in import_from(store, "acme", str(path))
    with open_store(f"sqlite:///{tmp_path}/b.db") as store:
        older = tmp_path / "older"
        older.write_bytes(file)
        import_from(store, "acme", str(older))
        with pytest.raises(AnmeiError, match=f"without {new}: .* does not merge"):
            import_from(store, "acme", str(path))


def test_a_direct_conversation_comes_back_once(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        do(store, create("pair", "ann", "bob", kind="direct"), send("pair", "ann"))
        export_to(store, "acme", "pair", path)
    with open_store(f"sqlite:///{tmp_path}/b.db") as store:
        import_from(store, "acme", path)
        again = reply(store, create("new", "bob", "ann", kind="direct"))
        assert (again["conversation"]["conversation_id"], again["created"]) == ("pair", False)
    with open_store(f"sqlite:///{tmp_path}/c.db") as store:
        do(store, create("theirs", "bob", "ann", kind="direct"))
        with pytest.raises(AnmeiError, match="another direct conversation"):
            import_from(store, "acme", path)


def test_the_command_line_says_what_it_did(
    tmp_path: Path, file: bytes, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(file)
    assert run.main(["import", "file"]) == 0
    assert b"room: 513 messages imported" in capsysbinary.readouterr().out
    assert run.main(["export", "--conversation", "room"]) == 0
    out, told = capsysbinary.readouterr()
    assert out == file
    assert b"517 people and messages exported" in told
    assert run.main(["export", "--conversation", "nowhere", "--out", "file"]) == 2
    assert b"no such conversation" in capsysbinary.readouterr().err
    assert Path("file").read_bytes() == file
    Path("cut").write_bytes(file[:-1])
    assert run.main(["import", "cut"]) == 2
    assert b"line 525: the file ends within the line" in capsysbinary.readouterr().err
