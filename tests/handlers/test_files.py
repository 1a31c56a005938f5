"""Uploads by tus, on both databases: what the protocol promises, and what is refused."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.handlers.api_routes import check_error
from tests.support.process import AnmeiProcess
from tests.support.raw_socket import RawSocket
from tests.support.uploads import FILES, OCTETS, TUS, begin, head, id_of, metadata, patch, upload

ORIGIN = "https://chat.example"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AnmeiProcess]:
    """One server for all of them: each test has users of its own."""
    env = {"ANMEI_ALLOWED_ORIGINS": ORIGIN, "ANMEI_LIMIT_REQUESTS_PER_SECOND": "0"}
    if request.param == "postgres":
        env["DATABASE_URL"] = request.getfixturevalue("postgres").create_database()
    node = AnmeiProcess(tmp_path_factory.mktemp("node"), env).start()
    yield node
    node.close()


async def test_a_file_comes_in_pieces_and_is_handed_out_whole(server, as_) -> None:
    ann = as_("ann")
    data = bytes(range(256)) * 2_000
    made = await begin(
        ann, len(data), **{"Upload-Metadata": metadata(filename="plan.bin", filetype="x/y")}
    )
    assert (made.status, made.headers["Upload-Offset"]) == (201, "0")
    assert made.headers["Tus-Resumable"] == "1.0.0"
    assert made.headers["Upload-Expires"].endswith("GMT")
    path = made.headers["Location"]
    for start in (0, 300_000):
        place = await head(ann, path)
        assert (place.status, place.headers["Upload-Offset"]) == (200, str(start))
        assert place.headers["Upload-Length"] == str(len(data))
        assert place.headers["Upload-Metadata"] == metadata(filename="plan.bin", filetype="x/y")
        assert place.headers["Cache-Control"] == "no-store"
        check_error(await ann.get(path), 404, "not_found")
        piece = data[start : start + 300_000]
        sent = await patch(ann, path, start, piece)
        assert (sent.status, sent.headers["Upload-Offset"]) == (204, str(start + len(piece)))
    assert "Upload-Expires" not in sent.headers
    got = await ann.get(path)
    assert (got.status, got.body) == (200, data)
    assert got.headers["ETag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    bare = await ann.request("HEAD", path)
    assert (bare.status, bare.headers["Content-Length"]) == (200, str(len(data)))
    assert bare.headers["ETag"] == got.headers["ETag"]
    assert (await head(ann, path)).headers["Upload-Offset"] == str(len(data))


async def test_bytes_may_come_with_the_creation(as_) -> None:
    bea = as_("bea")
    path = await upload(bea, b"all at once")
    assert (await bea.get(path)).body == b"all at once"
    headers = {**TUS, "Upload-Length": "9", "Content-Type": OCTETS}
    some = await bea.request("POST", FILES, headers=headers, raw=b"some")
    assert (some.status, some.headers["Upload-Offset"]) == (201, "4")
    rest = await patch(bea, some.headers["Location"], 4, b" more")
    assert rest.status == 204
    assert (await bea.get(some.headers["Location"])).body == b"some more"
    empty = await begin(bea, 0)
    assert empty.status == 201
    assert (await bea.get(empty.headers["Location"])).body == b""


async def test_only_the_right_offset_is_taken(as_) -> None:
    cid = as_("cid")
    path = (await begin(cid, 10)).headers["Location"]
    assert (await patch(cid, path, 0, b"12345")).status == 204
    for offset in (0, 4, 6, 10, 2**70):
        check_error(await patch(cid, path, offset, b"x"), 409, "conflict")
    for offset in ("-1", "x", "", "1e3", "0x5"):
        check_error(await patch(cid, path, offset, b"x"), 400, "bad_request")
    check_error(await patch(cid, path, 5, b"678901"), 413, "too_large")
    wrong = await patch(cid, path, 5, b"x", **{"Content-Type": "application/json"})
    check_error(wrong, 415, "unsupported_media")
    assert (await head(cid, path)).headers["Upload-Offset"] == "5"
    assert (await patch(cid, path, 5, b"67890")).status == 204
    check_error(await patch(cid, path, 0, b"x"), 409, "conflict")
    again = await patch(cid, path, 10, b"")
    assert (again.status, again.headers["Upload-Offset"]) == (204, "10")
    assert (await cid.get(path)).body == b"1234567890"


async def test_lengths_that_make_no_sense_are_refused(as_) -> None:
    dan = as_("dan")
    for size in ("-1", "", "x", "1.5", "\xb2", "9" * 50):
        check_error(await begin(dan, size), 400, "bad_request")
    for size in (2**63, 2**63 - 1, 2**31):
        error = check_error(await begin(dan, size), 413, "too_large")
        assert "ANMEI_LIMIT_FILE_BYTES" in error["message"]
    check_error(await dan.request("POST", FILES, headers=TUS, raw=b""), 400, "bad_request")
    for name, value in (
        ("Upload-Defer-Length", "1"),
        ("Upload-Concat", "partial"),
        ("Upload-Concat", f"final;{FILES}/file_0 {FILES}/file_1"),
        ("Upload-Metadata", "filename ?"),
        ("Upload-Metadata", "a YQ==,a YQ=="),
        ("Upload-Metadata", "a " + "YQ==" * 5_000),
    ):
        check_error(await begin(dan, 1, **{name: value}), 400, "bad_request")


async def test_a_piece_that_does_not_fit_its_checksum_is_not_kept(as_) -> None:
    eva = as_("eva")
    path = (await begin(eva, 8)).headers["Location"]

    def checksum(name: str, data: bytes) -> dict[str, str]:
        value = base64.b64encode(hashlib.new(name, data).digest()).decode()
        return {"Upload-Checksum": f"{name} {value}"}

    bad = await patch(eva, path, 0, b"evil", **checksum("sha1", b"good"))
    error = check_error(bad, 460, "checksum")
    assert error["retryable"] is True
    assert (await head(eva, path)).headers["Upload-Offset"] == "0"
    assert (await patch(eva, path, 0, b"good", **checksum("sha1", b"good"))).status == 204
    bad = await patch(eva, path, 4, b"work", **checksum("sha256", b"wore"))
    check_error(bad, 460, "checksum")
    assert (await patch(eva, path, 4, b"work", **checksum("md5", b"work"))).status == 204
    assert (await eva.get(path)).body == b"goodwork"
    path = (await begin(eva, 8)).headers["Location"]
    for value in ("crc9 AAAA", "sha1", "sha1 ?", "", "sha1  "):
        answer = await patch(eva, path, 0, b"x", **{"Upload-Checksum": value})
        assert answer.status in (400, 460), (value, answer)


async def test_another_version_is_told_which_one_is_spoken(as_) -> None:
    answer = await begin(as_("fay"), 1, **{"Tus-Resumable": "0.2.2"})
    check_error(answer, 412, "outdated")
    assert answer.headers["Tus-Version"] == "1.0.0"


async def test_a_browser_of_an_allowed_page_may_upload(as_) -> None:
    asked = await as_(None).request("OPTIONS", FILES, headers={"Origin": ORIGIN})
    assert asked.status == 204
    allowed = asked.headers["Access-Control-Allow-Headers"]
    for name in ("Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Range"):
        assert name in allowed
    assert asked.headers["Tus-Version"] == "1.0.0"
    assert "creation-with-upload" in asked.headers["Tus-Extension"]
    assert asked.headers["Tus-Max-Size"] == str(2**30)
    assert asked.headers["Tus-Checksum-Algorithm"].startswith("sha1")
    made = await begin(as_("gil"), 1, Origin=ORIGIN)
    assert made.headers["Access-Control-Allow-Origin"] == ORIGIN
    for name in ("Location", "Upload-Offset", "Tus-Resumable", "Upload-Length"):
        assert name in made.headers["Access-Control-Expose-Headers"]


async def test_a_client_that_can_only_post_says_what_it_means(as_) -> None:
    hal = as_("hal")
    path = (await begin(hal, 2)).headers["Location"]
    headers = {**TUS, "Upload-Offset": "0", "Content-Type": OCTETS}
    for method in ("GET", "PUT", "TRACE"):
        sent = {**headers, "X-HTTP-Method-Override": method}
        check_error(
            await hal.request("POST", path, headers=sent, raw=b"ab"), 405, "method_not_allowed"
        )
    sent = {**headers, "X-HTTP-Method-Override": "PATCH"}
    assert (await hal.request("POST", path, headers=sent, raw=b"ab")).status == 204
    sent = {**TUS, "X-HTTP-Method-Override": "DELETE"}
    assert (await hal.request("POST", path, headers=sent, raw=b"")).status == 204
    check_error(await hal.get(path), 404, "not_found")


async def test_nobody_else_learns_that_there_is_an_upload(as_) -> None:
    ida = as_("ida")
    begun = (await begin(ida, 4)).headers["Location"]
    whole = await upload(ida, b"mine")
    absent = f"{FILES}/file_00000000000000000000000000"
    strangers = (as_("jim"), as_("ida", tenant="other"), as_("root", roles=["admin"]))
    for path in (begun, whole, absent, f"{FILES}/..%2f..%2fetc%2fpasswd", f"{FILES}/%00"):
        for stranger in strangers:
            assert (await head(stranger, path)).status == 404
            check_error(await patch(stranger, path, 0, b"evil"), 404, "not_found")
            check_error(await stranger.delete(path, headers=TUS), 404, "not_found")
    assert (await head(ida, begun)).headers["Upload-Offset"] == "0"
    assert (await ida.get(whole)).body == b"mine"


async def test_an_upload_that_was_ended_is_gone(as_) -> None:
    kay = as_("kay")
    begun = (await begin(kay, 4)).headers["Location"]
    whole = await upload(kay, b"mine")
    for path in (begun, whole):
        assert (await kay.delete(path, headers=TUS)).status == 204
        assert (await head(kay, path)).status == 404
        check_error(await kay.get(path), 404, "not_found")
        check_error(await kay.delete(path, headers=TUS), 404, "not_found")
        check_error(await patch(kay, path, 0, b"more"), 404, "not_found")


def raw_patch(server: AnmeiProcess, user: str, path: str, length: int | str, *more: str) -> bytes:
    coding = f"Content-Length: {length}" if isinstance(length, int) else length
    return "\r\n".join(
        [
            f"PATCH {path} HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {server.token(user)}",
            "Tus-Resumable: 1.0.0",
            "Upload-Offset: 0",
            f"Content-Type: {OCTETS}",
            coding,
            *more,
            "",
            "",
        ]
    ).encode()


async def until(ask: Callable[[], Awaitable[bool]], pause: float = 0.02) -> None:
    async with asyncio.timeout(50):
        while not await ask():  # noqa: ASYNC110 - what is waited for happens in another program
            await asyncio.sleep(pause)


async def offset_of(client, path: str, wanted: int) -> None:
    async def there() -> bool:
        return (await head(client, path)).headers["Upload-Offset"] == str(wanted)

    await until(there)


async def taken(client, path: str, data: bytes, offset: int = 0) -> None:
    """Returns when nobody else writes to the upload any more, and it has this."""

    async def sent() -> bool:
        answer = await patch(client, path, offset, data)
        assert answer.status in (204, 423), answer
        return answer.status == 204

    await until(sent)


async def test_what_came_of_a_body_that_breaks_off_is_kept(server, as_) -> None:
    lea = as_("lea")
    path = (await begin(lea, 1_000_000)).headers["Location"]
    raw = await RawSocket.dial(server.port)
    await raw.send_bytes(raw_patch(server, "lea", path, 1_000_000) + b"x" * 400_001)
    await raw.close()
    await offset_of(lea, path, 400_001)
    # What came may be noted a moment before the request that brought it is over.
    await taken(lea, path, b"y" * 599_999, 400_001)
    assert (await lea.get(path)).body == b"x" * 400_001 + b"y" * 599_999


async def test_what_stands_for_a_checksum_is_not_kept_by_halves(server, as_) -> None:
    mia = as_("mia")
    path = (await begin(mia, 1_000_000)).headers["Location"]
    value = base64.b64encode(hashlib.sha1(b"x" * 1_000_000).digest()).decode()
    raw = await RawSocket.dial(server.port)
    await raw.send_bytes(
        raw_patch(server, "mia", path, 1_000_000, f"Upload-Checksum: sha1 {value}") + b"x" * 900_000
    )
    await raw.close()
    await taken(mia, path, b"x" * 1_000_000)


async def test_two_do_not_write_to_one_upload(server, as_) -> None:
    ned = as_("ned")
    path = (await begin(ned, 10)).headers["Location"]
    raw = await RawSocket.dial(server.port)
    await raw.send_bytes(raw_patch(server, "ned", path, 10) + b"01234")

    async def begun() -> bool:
        return bool(list((server.data_dir / "files").rglob(id_of(path))))

    await until(begun)
    answer = await patch(ned, path, 0, b"")
    assert check_error(answer, 423, "locked")["retry_after_ms"] <= 3_001
    await raw.send_bytes(b"56789")
    assert b" 204 " in await raw._reader.readline()
    await raw.close()
    assert (await ned.get(path)).body == b"0123456789"


async def test_bodies_that_lie_about_themselves(server, as_) -> None:
    pia = as_("pia")
    path = (await begin(pia, 10)).headers["Location"]
    for length, body, status in (
        (11, b"x" * 11, b" 413 "),
        (2**40, b"x" * 20, b" 413 "),
        (-1, b"", b" 400 "),
        ("Transfer-Encoding: chunked", b"14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n", b" 413 "),
        ("Transfer-Encoding: chunked", b"zz\r\n", b" 400 "),
    ):
        raw = await RawSocket.dial(server.port)
        await raw.send_bytes(raw_patch(server, "pia", path, length) + body)
        line = await raw._reader.readline()
        assert status in line or (status == b" 400 " and not line), (length, line)
        await raw.close()
        await offset_of(pia, path, 0)
        await taken(pia, path, b"")
    raw = await RawSocket.dial(server.port)
    await raw.send_bytes(
        raw_patch(server, "pia", path, "Transfer-Encoding: chunked")
        + b"a\r\n0123456789\r\n0\r\n\r\n"
    )
    assert b" 204 " in await raw._reader.readline()
    await raw.close()
    assert (await pia.get(path)).body == b"0123456789"


async def test_forms_are_no_uploads(as_) -> None:
    quin = as_("quin")
    part = b'--b\r\nContent-Disposition: form-data; name="' + b'a\\"' * 50 + b'"\r\n\r\nx\r\n'
    body = part * 5_000 + b"--b--\r\n"
    headers = {"Upload-Length": str(len(body)), "Content-Type": "multipart/form-data; boundary=b"}
    for method, path in (("POST", FILES), ("POST", "/api/v1/conversations")):
        answer = await quin.request(method, path, headers={**TUS, **headers}, raw=body)
        assert answer.status in (400, 413, 415), answer
    path = (await begin(quin, len(body))).headers["Location"]
    answer = await patch(quin, path, 0, body, **{"Content-Type": headers["Content-Type"]})
    check_error(answer, 415, "unsupported_media")


async def test_an_upload_that_is_refused_for_its_body_is_not_made(as_) -> None:
    """Nobody would know of it, and it would count as one under way for a day."""
    una = as_("una")
    for name, value, code in (
        ("Content-Type", "text/plain", 415),
        ("Upload-Checksum", "crc32 AAAA", 400),
    ):
        for _ in range(12):
            headers = {**TUS, "Upload-Length": "5", "Content-Type": OCTETS, name: value}
            answer = await una.request("POST", FILES, headers=headers, raw=b"hello")
            assert answer.status == code, answer
    assert await upload(una, b"hello")


async def test_files_lie_under_names_that_the_server_made(server, as_) -> None:
    rex = as_("rex")
    path = await upload(rex, b"x", filename="../../../evil.sh")
    found = {file.name for file in (server.data_dir / "files").rglob("*") if file.is_file()}
    assert id_of(path) in found
    assert all(name.startswith("file_") for name in found)
    assert not list(server.data_dir.rglob("evil*"))
