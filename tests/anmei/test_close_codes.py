"""The range of a close code tells the client what to do."""

from anmei.close_codes import CloseCode


def test_every_code_says_when_it_is_sent_and_what_to_do_next():
    assert len(CloseCode) >= 13
    for code in CloseCode:
        said, colon, then = str(code.__doc__).partition(":")
        assert said, code
        assert colon or "come back" in said, code
        assert str(code.__doc__).endswith("."), code


def test_the_ranges_are_what_they_say():
    for code in CloseCode:
        assert 4000 <= code < 4300
        assert code.reconnect is (code >= 4100)
        assert code.waits is (4100 <= code < 4200)
