"""A setting that cannot be used stops the start with a sentence that names it."""

import pytest

from anmei.settings import Settings, SettingsError
from anmei.settings_reader import load
from anmei.settings_table import TABLE, type_name

SECRET = "s" * 32


def problem(**given: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(given)
    return str(caught.value)


def test_without_anything_there_are_defaults():
    assert load({}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ANMEI_PORT", "abc", "a whole number from 0 to 65535"),
        ("ANMEI_PORT", "70000", "a whole number from 0 to 65535"),
        ("ANMEI_COMPRESSION", "yes", "true or false"),
        ("ANMEI_ENV", "prod", "development | production"),
        ("ANMEI_FOO", "1", "no such setting"),
        ("ANMEI_ALLOWED_ORIGINS", "example.org", "no origin"),
        ("DATABASE_URL", "mysql://x", "expected postgresql://"),
        ("JWT_SECRET", "short", "can be guessed"),
        ("JWT_ALGORITHM", "RS256", "needs JWT_PUBLIC_KEY or JWT_JWKS_URL"),
        ("WS_CONNECTION_TIMEOUT", "30000", "must be longer than WS_HEARTBEAT_INTERVAL"),
        ("ANMEI_LIMIT_CONTENT_BYTES", "999999", "must be smaller than"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_is_allowed(name, value, words):
    text = problem(**{name: value})
    assert name in text
    assert words in text


def test_all_that_is_wrong_is_said_at_once():
    text = problem(ANMEI_PORT="abc", ANMEI_FOO="1", ANMEI_DB_READERS="0")
    assert all(name in text for name in ("ANMEI_PORT", "ANMEI_FOO", "ANMEI_DB_READERS"))


def test_a_secret_is_never_shown():
    assert "hunter2" not in problem(JWT_SECRET="hunter2")
    assert "hunter2" not in problem(DATABASE_URL="mysql://ada:hunter2@host/db")


def test_production_wants_a_secret_and_no_demo():
    assert "JWT_SECRET" in problem(ANMEI_ENV="production")
    assert "ANMEI_DEMO" in problem(ANMEI_ENV="production", JWT_SECRET=SECRET, ANMEI_DEMO="on")
    assert load({"ANMEI_ENV": "production", "JWT_SECRET": SECRET}).env == "production"


def test_keys_of_two_kinds_are_not_accepted_together():
    assert "JWT_SECRET" in problem(JWT_SECRET=SECRET, JWT_PUBLIC_KEY="key.pem")
    assert "not both" in problem(JWT_JWKS_URL="https://x/", JWT_PUBLIC_KEY="key.pem")


def test_flags_come_before_the_environment_and_that_before_the_file(tmp_path):
    file = tmp_path / ".env"
    file.write_text('# a comment\nexport ANMEI_PORT=1\nANMEI_HOST="h1"\nANMEI_LOG_LEVEL=debug\n')
    found = load({"ANMEI_PORT": "2", "ANMEI_HOST": "h2"}, {"ANMEI_PORT": "3"}, file)
    assert (found.port, found.host, found.log_level) == (3, "h2", "debug")


def test_a_line_of_the_file_that_is_no_setting_is_named(tmp_path):
    file = tmp_path / ".env"
    file.write_text("ANMEI_PORT=1\nnonsense\n")
    with pytest.raises(SettingsError, match=r"\.env:2: expected NAME=value$"):
        load({}, {}, file)
    file.write_bytes(b"ANMEI_PORT=1\nANMEI_HOST=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env: expected text in UTF-8"):
        load({}, {}, file)


def test_every_row_has_a_sentence_a_type_and_a_name_of_its_own():
    assert len({row.name for row in TABLE}) == len(TABLE)
    for row in TABLE:
        assert row.doc.endswith("."), row.name
        assert type_name(row)
