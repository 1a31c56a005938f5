from anmei.commands import Audience
from db.audiences import Audiences


def audience(version: int, size: int) -> Audience:
    return Audience(version, frozenset(f"acme/{n}" for n in range(size)))


def test_only_the_version_asked_for_is_found() -> None:
    audiences = Audiences()
    kept = audience(3, 2)
    audiences.put(1, kept)
    audiences.keep()
    assert audiences.get(1, 3) is kept
    assert audiences.get(1, 4) is None
    assert audiences.get(2, 3) is None


def test_what_was_not_committed_is_forgotten_and_what_was_before_remains() -> None:
    audiences = Audiences()
    before, after = audience(3, 2), audience(4, 3)
    audiences.put(1, before)
    audiences.keep()
    audiences.put(1, after)
    assert audiences.get(1, 4) is after
    audiences.discard()
    assert audiences.get(1, 4) is None
    assert audiences.get(1, 3) is before


def test_those_not_used_for_longest_go_when_there_are_too_many_members() -> None:
    audiences = Audiences(max_members=10)
    for conversation in (1, 2):
        audiences.put(conversation, audience(1, 4))
        audiences.keep()
    assert audiences.get(1, 1) is not None
    audiences.put(3, audience(1, 4))
    audiences.keep()
    assert [audiences.get(pk, 1) is not None for pk in (1, 2, 3)] == [True, False, True]
    audiences.put(4, audience(1, 11))
    audiences.keep()
    assert [audiences.get(pk, 1) for pk in (1, 2, 3, 4)] == [None] * 4
