"""Files as they are handed out: to whom, in which parts, and so that nothing of them runs."""

import asyncio
from collections.abc import Iterator

import pytest

from handlers.download import STILL
from tests.handlers.api_routes import check_error, without_id
from tests.support.process import AnmeiProcess
from tests.support.uploads import FILES, file_body, upload

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (40).to_bytes(4, "big") + (30).to_bytes(4, "big")
BOMB = PNG[:16] + (50_000).to_bytes(4, "big") * 2
GIFAR = b"GIF89a\x01\x00\x01\x00/*<script>alert(1)</script>*/=1;alert(1)"
HTML = b"<!doctype html><script>fetch('/api/v1/conversations')</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'

NAMES = (
    ("../../x", "x"),
    ("..\\..\\x.txt", "x.txt"),
    ("%2e%2e%2fx", "_2e_2e_2fx"),
    ("/etc/passwd", "passwd"),
    ("a\0b\r\nSet-Cookie: x=1", "abSet-Cookie_ x=1"),
    ("CON", "_CON"),
    ("nul.txt", "_nul.txt"),
    (".htaccess", "htaccess"),
    ("x" * 5_000 + ".png", "x" * 196 + ".png"),
    ("invoice\u202efdp.exe", "invoicefdp.exe"),
    ('a"; filename="evil.html', "a__ filename=_evil.html"),
    ("", "file"),
    ("...", "file"),
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AnmeiProcess]:
    env = {}
    if request.param == "postgres":
        env["DATABASE_URL"] = request.getfixturevalue("postgres").create_database()
    node = AnmeiProcess(tmp_path_factory.mktemp("node"), env).start()
    yield node
    node.close()


async def make_room(client, id: str, *others: str) -> str:
    body = {"id": id, "kind": "group", "participant_ids": list(others)}
    assert (await client.post("/api/v1/conversations", body)).status == 201
    return f"/api/v1/conversations/{id}"


@pytest.mark.parametrize(
    ("data", "claimed", "type", "inline"),
    [
        (PNG, "image/png", "image/png", True),
        (PNG, "text/html", "image/png", True),
        (GIFAR, "image/gif", "image/gif", True),
        (BOMB, "image/png", None, False),
        (HTML, "image/png", None, False),
        (SVG, "image/svg+xml", None, False),
        (SVG, "image/png", None, False),
        (HTML, "text/html", None, False),
        (b"<?xml version='1.0'?><x/>", "application/xhtml+xml", None, False),
        (b"%PDF-1.7 /OpenAction /JS", "application/pdf", None, False),
        (b"%PDF-1.7 /OpenAction /JS", "image/png", None, False),
    ],
)
async def test_nothing_runs_whatever_it_is_called(as_, data, claimed, type, inline) -> None:
    ann = as_("ann")
    path = await upload(ann, data, filename="holiday.png", filetype=claimed)
    for method in ("GET", "HEAD"):
        answer = await ann.request(method, path)
        headers = answer.headers
        assert answer.status == 200
        assert headers["Content-Type"] == (type or "application/octet-stream")
        how = "inline" if inline else "attachment"
        assert headers["Content-Disposition"].startswith(f"{how}; ")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "private, no-cache"
        assert "Set-Cookie" not in headers


async def test_a_name_can_do_no_harm(as_) -> None:
    bea = as_("bea")
    for given, shown in NAMES:
        answer = await bea.request("HEAD", await upload(bea, b"x", filename=given))
        wanted = f'attachment; filename="{shown}"; filename*='
        assert answer.headers["Content-Disposition"].startswith(wanted), (given, answer.headers)
    answer = await bea.request("HEAD", await upload(bea, b"x", filename="报告 é.pdf"))
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"__ _.pdf\"; filename*=UTF-8''%E6%8A%A5%E5%91%8A%20%C3%A9.pdf"
    )


async def test_one_part_may_be_asked_for(as_) -> None:
    cid = as_("cid")
    path = await upload(cid, b"0123456789")
    for given, part, shown in (
        ("bytes=0-3", b"0123", "0-3"),
        ("bytes=7-", b"789", "7-9"),
        ("bytes=-2", b"89", "8-9"),
        ("bytes=5-999", b"56789", "5-9"),
        ("bytes=0-0", b"0", "0-0"),
    ):
        answer = await cid.get(path, headers={"Range": given})
        assert (answer.status, answer.body) == (206, part)
        assert answer.headers["Content-Range"] == f"bytes {shown}/10"
        assert answer.headers["Content-Length"] == str(len(part))
    for given in ("bytes=10-", "bytes=99-100", "bytes=-0"):
        answer = await cid.get(path, headers={"Range": given})
        check_error(answer, 416, "range")
        assert answer.headers["Content-Range"] == "bytes */10"
    for given in (
        *("bytes=3-1", "bytes=a-b", "items=0-1", "bytes=", "bytes=--1", "bytes=0-1,3-4"),
        "bytes=" + ",".join(["0-"] * 1_000),
        "bytes=" + "9" * 4_000 + "-",
    ):
        answer = await cid.get(path, headers={"Range": given})
        assert (answer.status, answer.body) == (200, b"0123456789")
    etag = answer.headers["ETag"]
    same = await cid.get(path, headers={"Range": "bytes=2-4", "If-Range": etag})
    assert (same.status, same.body) == (206, b"234")
    other = await cid.get(path, headers={"Range": "bytes=2-4", "If-Range": '"x"'})
    assert (other.status, other.body) == (200, b"0123456789")
    for given in ("bytes=2-4", "bytes=99-"):
        bare = await cid.request("HEAD", path, headers={"Range": given})
        assert (bare.status, bare.headers["Content-Length"]) == (200, "10")
    kept = await cid.get(path, headers={"If-None-Match": etag})
    assert (kept.status, kept.body) == (304, b"")


async def test_whoever_may_read_a_message_may_have_what_it_carries(as_) -> None:
    dan, eva, out = as_("dan"), as_("eva"), as_("out")
    room = await make_room(dan, "carry", "eva")
    path = await upload(dan, b"shared", filename="plan.txt")
    absent = await eva.get(f"{FILES}/file_00000000000000000000000000")
    assert without_id(await eva.get(path)) == without_id(absent)
    sent = await dan.post(f"{room}/messages", file_body(path))
    assert sent.status == 201, sent
    assert (await eva.get(path)).body == b"shared"
    assert (await as_("shop", roles=["service"]).get(path)).body == b"shared"
    for stranger in (out, as_("eva", tenant="other"), as_("root", tenant="other", roles=["admin"])):
        for method in ("GET", "HEAD"):
            assert (await stranger.request(method, path)).status == 404
    check_error(await dan.delete(path), 409, "conflict")
    assert (await dan.delete(f"{room}/participants/eva")).status == 200
    assert without_id(await eva.get(path)) == without_id(absent)
    assert (await dan.get(path)).body == b"shared"


async def test_a_message_carries_only_what_its_sender_may_have(as_) -> None:
    fay, gil = as_("fay"), as_("gil")
    room = await make_room(fay, "only", "gil")
    theirs = await upload(gil, b"theirs")
    begun = await fay.request("POST", FILES, headers={"Upload-Length": "5"}, raw=b"")
    for path in (theirs, begun.headers["Location"], f"{FILES}/file_0", f"{FILES}/x"):
        answer = await fay.post(f"{room}/messages", file_body(path))
        check_error(answer, 404, "not_found")
    assert (await fay.get(f"{room}/messages")).body["messages"] == []
    # A file that one may read one may pass on.
    assert (await gil.post(f"{room}/messages", file_body(theirs))).status == 201
    other = await make_room(fay, "further", "hal")
    assert (await fay.post(f"{other}/messages", file_body(theirs))).status == 201
    assert (await as_("hal").get(theirs)).body == b"theirs"
    # And a backend sends what anybody of its tenant has.
    shop = as_("shop", roles=["service"])
    mine = await upload(fay, b"mine")
    body = {**file_body(mine), "sender_id": "fay", "client_msg_id": "once"}
    assert (await shop.post(f"{other}/messages", body)).status == 201
    assert (await shop.post(f"{other}/messages", body)).status == 200


async def test_a_recalled_message_takes_its_file_with_it_unless_another_carries_it(as_) -> None:
    ida, jim, kay = as_("ida"), as_("jim"), as_("kay")
    room = await make_room(ida, "undo", "jim")
    await make_room(jim, "beyond", "kay")
    path = await upload(ida, b"secret")
    first = (await ida.post(f"{room}/messages", file_body(path))).body["id"]
    passed = await jim.post(f"/api/v1/messages/{first}/forward", {"conversation_ids": ["beyond"]})
    assert passed.status in (200, 201), passed
    second = passed.body["messages"][0]["id"]
    for client, message in ((ida, first), (jim, second)):
        assert (await kay.get(path)).body == b"secret"
        assert (await client.post(f"/api/v1/messages/{message}/recall", {})).status == 200
        assert ((await kay.get(path)).status == 200) is (message == first)
    for client in (ida, jim, kay):
        check_error(await client.get(path), 404, "not_found")
    check_error(await ida.post(f"{room}/messages", file_body(path)), 404, "not_found")


async def test_whoever_has_it_in_the_inbox_may_have_it_until_it_is_taken_out(as_) -> None:
    lea, mia = as_("lea"), as_("mia")
    shop = as_("shop", roles=["service"])
    path = await upload(shop, b"invoice")
    body = {**file_body(path), "recipient_ids": ["lea"]}
    sent = await shop.post("/api/v1/messages", body)
    assert sent.status == 201, sent
    assert (await lea.get(path)).body == b"invoice"
    check_error(await mia.get(path), 404, "not_found")
    assert (await lea.delete(f"/api/v1/inbox/{sent.body['message_id']}")).status == 200
    check_error(await lea.get(path), 404, "not_found")


@pytest.mark.parametrize("how", ["recalled", "removed"])
async def test_who_reads_slowly_gets_no_more_than_he_may_still_have(server, as_, how) -> None:
    pat, quinn = as_("pat"), as_("quinn")
    room = await make_room(pat, f"slowly-{how}", "quinn")
    size = 24 * 1024 * 1024
    path = await upload(pat, b"\xaa" * size)
    sent = await pat.post(f"{room}/messages", file_body(path))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token('quinn')}\r\n"
    writer.write(f"{request}\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    if how == "recalled":
        gone = await pat.post(f"/api/v1/messages/{sent.body['id']}/recall", {})
    else:
        gone = await pat.delete(f"{room}/participants/quinn")
    assert gone.status == 200
    assert (await quinn.get(path)).status == 404
    await asyncio.sleep(STILL)  # the server waits for the reader meanwhile, who waits for this
    assert len(await reader.read()) < size
    writer.close()
