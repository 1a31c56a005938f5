"""The search index behind a kill: what was acknowledged is found, whoever was to index it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.handlers.test_api_search import contents, look
from tests.support.http import Http
from tests.support.process import AnmeiProcess


@pytest.mark.gen_test(timeout=100)
async def test_what_was_sent_before_a_kill_is_found_behind_it(
    anmei: Callable[..., AnmeiProcess], tmp_path: Path
) -> None:
    killed = anmei({"ANMEI_SEARCH_INTERVAL": "0"}, data_dir=tmp_path)
    http = Http(killed.url, killed.token("ann"))
    await http.post("/api/v1/conversations", {"kind": "group", "id": "r", "participant_ids": []})
    for text in ("before the kill", "今天天气"):
        sent = await http.post("/api/v1/conversations/r/messages", {"content": text})
        assert sent.status == 201
    found = await http.get("/api/v1/messages/search?q=kill")
    assert (found.body["results"], found.body["up_to_date"]) == ([], False)
    http.close()
    killed.kill9()

    node = anmei({"ANMEI_SEARCH_INTERVAL": "20"}, data_dir=tmp_path)
    http = Http(node.url, node.token("ann"))
    assert contents(await look(http, q="kill")) == ["before the kill"]
    assert contents(await look(http, q="天气")) == ["今天天气"]
    http.close()
