"""Ids are plain, keys never cross tenants, and new ids sort by their time."""

from anmei import ids


def test_an_id_is_made_of_letters_digits_and_five_marks():
    for good in ("a", "A1", "_x", "ada@example.org", "a.b-c+d", "x" * 128):
        assert ids.is_id(good), good
    for bad in ("", "-a", ".a", "a b", "a/b", "a:b", "a*", "a\n", "ä", "x" * 129, None, 5):
        assert not ids.is_id(bad), bad


def test_a_key_keeps_its_two_halves_apart():
    key = ids.make_key("acme", "ada")
    assert (ids.tenant_of(key), ids.id_of(key)) == ("acme", "ada")
    assert ids.make_key("a", "b") != ids.make_key("ab", "")


def test_new_ids_are_ids_and_sort_by_their_time(monkeypatch):
    now = 1_700_000_000_000_000_000
    made = []
    for step in range(5):
        monkeypatch.setattr(ids.time, "time_ns", lambda step=step: now + step * 1_000_000)
        made.append(ids.new_id("msg"))
    assert made == sorted(made)
    assert all(ids.is_id(each) for each in made)
    monkeypatch.undo()
    assert len({ids.new_id("msg") for _ in range(1_000)}) == 1_000


def test_a_client_id_is_visible_ascii():
    assert ids.is_client_id("0190-e0:{}*/?")
    for bad in ("", "a b", "a\n", "é", "x" * 256, None):
        assert not ids.is_client_id(bad), bad
