"""The page at `/` and files: chosen, sent, shown and saved."""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.browser.tab import BACK_MS, OpenTab

#: A picture as a camera makes it: red and green, with a note of where it was taken.
DRAW = """
async (type) => {
  const canvas = new OffscreenCanvas(320, 200);
  const context = canvas.getContext('2d');
  context.fillStyle = '#0f766e';
  context.fillRect(0, 0, 320, 200);
  context.fillStyle = '#f4c37a';
  context.beginPath();
  context.arc(240, 60, 34, 0, 7);
  context.fill();
  const blob = await canvas.convertToBlob({ type });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}
"""
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\0 GPSLatitude 31.2"


def picture(tab: Any, type: str) -> bytes:
    return base64.b64decode(tab.page.evaluate(DRAW, type))


def camera_picture(tab: Any) -> bytes:
    plain = picture(tab, "image/jpeg")
    note = b"\xff\xe1" + (len(EXIF) + 2).to_bytes(2, "big") + EXIF
    return plain[:2] + note + plain[2:]


def choose(tab: Any, name: str, type: str, data: bytes) -> None:
    tab.page.set_input_files("#file", {"name": name, "mimeType": type, "buffer": data})


def stored(server: Any) -> list[bytes]:
    files = sorted((server.data_dir / "files").rglob("file_*"))
    return [file.read_bytes() for file in files]


def test_a_picture_shows_on_the_other_side_without_what_the_camera_noted(
    anmei: Callable[..., Any], open_tab: OpenTab, pictures: Callable[..., list[Path]]
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    ada.say("Look what I saw")
    choose(ada, "coast.jpg", "image/jpeg", camera_picture(ada))
    for tab in (ada, bob):
        image = tab.page.locator("#messages img.picture")
        expect(image).to_have_js_property("naturalWidth", 320)
        expect(image).to_have_attribute("alt", "coast.jpg")
        expect(image).to_be_visible()
    expect(ada.page.locator("#uploads li")).to_have_count(0)
    (data,) = stored(server)
    assert data.startswith(b"\xff\xd8\xff")
    assert b"GPSLatitude" not in data
    choose(ada, "<b>notes & plans</b> 会议.pdf", "application/pdf", b"%PDF-1.7 " + b"x" * 3_000)
    choose(ada, "drawing.png", "image/png", picture(ada, "image/png"))
    expect(bob.page.locator("#messages img.picture")).to_have_count(2)
    # What comes later pushes nobody up from the end.
    expect(bob.page.locator("#jump")).to_be_hidden()
    expect(bob.page).to_have_title(re.compile("^Lobby"))
    file = bob.page.locator("#messages button.file")
    expect(file).to_contain_text("<b>notes & plans</b> 会议.pdf")
    expect(file).to_contain_text("3 kB")
    with bob.page.expect_download() as saved:
        file.click()
    assert Path(saved.value.path()).read_bytes() == b"%PDF-1.7 " + b"x" * 3_000
    assert saved.value.suggested_filename.endswith("会议.pdf")
    pictures(bob.page, "files")


def test_what_is_no_picture_is_never_shown_as_one(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("Ada"), open_tab(server).sign_in("Bob")
    evil = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    choose(ada, "evil.svg", "image/svg+xml", evil)
    choose(ada, "evil.png", "image/png", evil)
    expect(bob.page.locator("#messages button.file")).to_have_count(2)
    expect(bob.page.locator("#messages img.picture")).to_have_count(0)
    expect(bob.page.locator("#messages button.file").first).to_contain_text(f"{len(evil)} bytes")


def test_an_upload_goes_on_when_the_server_is_back_and_can_be_cancelled(
    anmei: Callable[..., Any], open_tab: OpenTab, pictures: Callable[..., list[Path]]
) -> None:
    server = anmei()
    ada = open_tab(server).sign_in("Ada")
    server.kill9()
    ada.is_reconnecting()
    choose(ada, "report.bin", "application/octet-stream", b"r" * 100_000)
    choose(ada, "regret.bin", "application/octet-stream", b"x" * 100_000)
    rows = ada.page.locator("#uploads li")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("0 %")
    pictures(ada.page, "uploads")
    rows.filter(has_text="regret.bin").get_by_role("button").click()
    expect(rows).to_have_count(1)
    server.start()
    ada.is_connected(BACK_MS)
    expect(ada.page.locator("#messages button.file")).to_have_text(re.compile("report.bin"))
    expect(rows).to_have_count(0)
    assert stored(server) == [b"r" * 100_000]


def test_a_file_that_is_refused_says_why(anmei: Callable[..., Any], open_tab: OpenTab) -> None:
    server = anmei({"ANMEI_LIMIT_FILE_BYTES": "1000"})
    ada = open_tab(server, locale="zh-CN").sign_in("Ada")
    choose(ada, "large.bin", "application/octet-stream", b"x" * 1_001)
    row = ada.page.locator("#uploads li.failed")
    expect(row).to_contain_text("上传失败")
    expect(row).to_contain_text("1000")
    row.get_by_role("button").click()
    expect(row).to_have_count(0)
    ada.complaints = [line for line in ada.complaints if "413" not in line]
