"""The settings of several nodes: what fits together, and what is refused with a sentence."""

import re

import pytest

from anmei.settings import SettingsError
from anmei.settings_reader import load
from anmei.settings_table import TABLE

URL = {"REDIS_URL": "redis://localhost"}
SECRET = "s" * 32


def test_several_nodes_sign_with_the_secret_of_their_tokens_or_with_one_of_their_own():
    assert load({**URL, "JWT_SECRET": SECRET}).secret == ""
    assert load({**URL, "JWT_SECRET": SECRET, "ANMEI_SECRET": "o" * 32}).secret == "o" * 32


@pytest.mark.parametrize("keys", [{"JWT_PUBLIC_KEY": "key.pem"}, {"JWT_JWKS_URL": "https://a/b"}])
def test_public_keys_are_no_secret_to_sign_with(keys):
    with pytest.raises(SettingsError, match="ANMEI_SECRET"):
        load({**URL, **keys})
    assert load(keys).redis_url == ""
    assert load({**URL, **keys, "ANMEI_SECRET": SECRET}).secret == SECRET


def test_a_secret_that_can_be_guessed_is_refused_and_not_shown():
    with pytest.raises(SettingsError, match="^ANMEI_SECRET: a secret of 6 bytes") as refusal:
        load({**URL, "ANMEI_SECRET": f"{SECRET},sesame"})
    assert "sesame" not in str(refusal.value)


@pytest.mark.parametrize("prefix", ["", "a:b", "a*", "{a}", "x" * 65])
def test_a_prefix_that_would_mean_something_in_a_pattern_is_refused(prefix):
    allowed = re.escape("expected text that matches ^[A-Za-z0-9_.-]{1,64}$")
    with pytest.raises(SettingsError, match=allowed):
        load({**URL, "ANMEI_REDIS_PREFIX": prefix})


def test_neither_the_url_nor_the_password_is_shown_by_the_table():
    secret = {row.name for row in TABLE if row.secret}
    assert {"REDIS_URL", "REDIS_PASSWORD", "ANMEI_SECRET"} <= secret
