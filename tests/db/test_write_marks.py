import pytest

from anmei.commands import MoveMarks, Outcome
from anmei.errors import ErrorCode
from db import queries
from db.store import Store
from db.write_marks import MAX_COVERED
from tests.db.chat import NOW, change, create, delivered, do, key, read, reply, send, touch


@pytest.fixture
def room(store: Store) -> str:
    """Ann's messages are 2 to 6, Bob's 7 and 8."""
    reply(store, create("room", "ann", "bob", "cid"))
    do(store, *[send("room", "ann", message_id=f"msg_{n}") for n in range(2, 7)])
    do(store, *[send("room", "bob", message_id=f"msg_{n}") for n in range(7, 9)])
    return "room"


def one(store: Store, command: MoveMarks) -> Outcome:
    (outcome,) = do(store, command)
    assert outcome.error is None
    return outcome


def marks(store: Store, user: str) -> tuple[int, int]:
    head = store.read(queries.conversation, key(user), key("room")).result(60)
    assert head is not None
    return head["last_delivered_seq"], head["last_read_seq"]


def test_reading_moves_both_marks_and_names_the_senders(store: Store, room: str) -> None:
    outcome = one(store, read(room, "cid", 7))
    assert outcome.reply == {
        "conversation_id": "room",
        "seq": 7,
        "unread": 1,
        "last_seq": 8,
        "counted_to": 8,
    }
    mark = outcome.mark
    assert mark is not None
    assert (mark.conversation_key, mark.user_key) == (key(room), key("cid"))
    assert (mark.last_delivered_seq, mark.last_read_seq, mark.unread) == (7, 7, 1)
    assert mark.senders == {key("ann"), key("bob")}
    assert marks(store, "cid") == (7, 7)


def test_delivery_moves_its_own_mark_only(store: Store, room: str) -> None:
    outcome = one(store, delivered(room, "cid", 5))
    assert outcome.reply == {"conversation_id": "room", "seq": 5}
    assert outcome.mark is not None
    assert outcome.mark.senders == {key("ann")}
    assert marks(store, "cid") == (5, 0)


def test_a_reader_is_not_among_the_senders_and_has_not_its_own_messages_unread(
    store: Store, room: str
) -> None:
    outcome = one(store, read(room, "bob", 3))
    assert outcome.reply is not None
    assert outcome.reply["unread"] == 3
    outcome = one(store, read(room, "bob", 8))
    assert outcome.mark is not None
    assert outcome.mark.senders == {key("ann")}
    assert outcome.mark.unread == 0


def test_marks_never_move_back_nor_past_the_last_message(store: Store, room: str) -> None:
    assert one(store, read(room, "cid", 2**80)).reply == {
        "conversation_id": "room",
        "seq": 8,
        "unread": 0,
        "last_seq": 8,
        "counted_to": 8,
    }
    for command in (read(room, "cid", 4), read(room, "cid", -5), delivered(room, "cid", 1)):
        outcome = one(store, command)
        assert outcome.mark is None
        assert outcome.reply is not None
        assert outcome.reply["seq"] == 8
    assert marks(store, "cid") == (8, 8)


def test_message_ids_stand_for_the_highest_of_them_in_this_conversation(
    store: Store, room: str
) -> None:
    reply(store, create("elsewhere", "ann", "cid"))
    do(store, *[send("elsewhere", "ann") for _ in range(20)])
    do(store, send("elsewhere", "ann", message_id="msg_far"))
    outcome = one(store, read(room, "cid", message_ids=("msg_3", "msg_5", "msg_far", "msg_none")))
    assert outcome.reply is not None
    assert outcome.reply["seq"] == 5
    assert one(store, read(room, "cid", message_ids=("msg_far",))).mark is None


def test_moves_of_one_batch_are_each_answered_and_told_once(store: Store, room: str) -> None:
    outcomes = do(
        store,
        delivered(room, "cid", 3),
        delivered(room, "bob", 4),
        read(room, "cid", 7),
        delivered(room, "cid", 8),
        read(room, "cid", 2),
    )
    assert [outcome.reply and outcome.reply["seq"] for outcome in outcomes] == [8, 4, 7, 8, 7]
    assert [outcome.mark is not None for outcome in outcomes] == [False, True, False, True, False]
    mark = outcomes[3].mark
    assert mark is not None
    assert (mark.last_delivered_seq, mark.last_read_seq) == (8, 7)
    assert mark.senders == {key("ann"), key("bob")}


def test_a_mark_sees_the_messages_before_it_in_its_batch(store: Store, room: str) -> None:
    outcomes = do(store, send(room, "ann"), read(room, "cid", 9), send(room, "ann"))
    assert outcomes[1].reply == {
        "conversation_id": "room",
        "seq": 9,
        "unread": 0,
        "last_seq": 9,
        "counted_to": 9,
    }


def test_strangers_and_nowhere_are_not_found(store: Store, room: str) -> None:
    outcomes = do(store, read(room, "eve", 3), read("nowhere", "cid", 3))
    assert [outcome.error and outcome.error.code for outcome in outcomes] == [
        ErrorCode.NOT_FOUND,
        ErrorCode.NOT_FOUND,
    ]


def test_a_device_has_a_place_of_its_own(store: Store, room: str) -> None:
    do(store, touch("cid", "phone"), touch("cid", "laptop"))
    one(store, delivered(room, "cid", 6, device_id="phone"))
    outcome = one(store, delivered(room, "cid", 4, device_id="laptop"))
    assert outcome.mark is None
    one(store, delivered(room, "cid", 3, device_id="phone"))
    one(store, delivered(room, "cid", 5, device_id="never seen"))

    def place(device: str) -> object:
        view = store.read(queries.attach_view, key("cid"), device, 10).result(60)
        return view.places[0].device_seq

    assert [place("phone"), place("laptop"), place("never seen")] == [6, 4, None]


def test_a_device_that_holds_a_change_is_not_told_of_it_again(store: Store) -> None:
    do(store, touch("bob", "phone"), create("later", "ann", "bob"))
    do(store, send("later", "ann", message_id="msg_2"))
    do(store, change.react("msg_2", "ann", "👍"))
    do(store, delivered("later", "bob", 2**40, device_id="phone"))
    (place,) = store.read(queries.attach_view, key("bob"), "phone", 10).result(60).places
    assert (place.device_seq, place.delivered_seq, place.change_seq) == (3, 2, 3)


def test_a_device_that_connects_in_the_same_batch_has_its_mark(store: Store, room: str) -> None:
    do(
        store,
        delivered(room, "bob", 3),
        touch("cid", "phone", at=NOW),
        delivered(room, "cid", 3, device_id="phone"),
    )
    view = store.read(queries.attach_view, key("cid"), "phone", 10).result(60)
    assert view.places[0].device_seq == 3


def test_a_long_move_tells_the_senders_of_its_last_messages_only(store: Store) -> None:
    reply(store, create("long", "ann", "bob", "cid"))
    do(store, send("long", "ann"), *[send("long", "bob") for _ in range(MAX_COVERED)])
    outcome = one(store, read("long", "cid", 2 + MAX_COVERED))
    assert outcome.mark is not None
    assert outcome.mark.senders == {key("bob")}
