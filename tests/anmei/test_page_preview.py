"""What a page says of itself, and what a hostile one cannot do."""

import time

import pytest

from anmei.page_preview import MAX_DESCRIPTION, MAX_TITLE, read_page

LINK, URL = "https://a.example/x", "https://a.example/dir/x"


def preview(page: str | bytes, charset: str | None = None) -> dict[str, str | None] | None:
    return read_page(LINK, URL, charset, page.encode() if isinstance(page, str) else page)


def test_the_fields_of_opengraph_come_first() -> None:
    page = """<!doctype html><head><title>Plain</title>
      <meta name="description" content="plain">
      <meta property="og:title" content="Lunch &amp; dinner">
      <meta property="og:description" content="你好
        world"><meta property="og:image" content="../cat.png">
      <meta property="og:site_name" content="A"></head>"""
    assert preview(page) == {
        "url": LINK,
        "title": "Lunch & dinner",
        "description": "你好 world",
        "image_url": "https://a.example/cat.png",
        "site_name": "A",
    }


def test_without_them_the_title_and_the_description_do() -> None:
    page = "<title>Ti\u202etle\0</title><META NAME=Description CONTENT='x'>"
    found = preview(page)
    assert found is not None
    assert (found["title"], found["description"]) == ("Ti tle", "x")
    assert (found["image_url"], found["site_name"]) == (None, None)


@pytest.mark.parametrize("page", ["", "x", "<title> </title>", "<body><title>x</title>", "\0" * 99])
def test_a_page_without_a_title_has_no_preview(page: str) -> None:
    assert preview(page) is None


def test_texts_are_cut() -> None:
    page = f"<meta property=og:title content='{'t' * 9_000}'>"
    found = preview(page + f"<meta name=description content='{'d ' * 9_000}'>")
    assert found is not None
    assert len(found["title"] or "") == MAX_TITLE
    assert len(found["description"] or "") <= MAX_DESCRIPTION


@pytest.mark.parametrize(
    "image",
    [
        *("javascript:x", "data:image/png;base64,x", "http://127.0.0.1/x", "http://[::1]/x"),
        *("http://2130706433/", "http://0x7f.1/", "http://10.0.0.1/", "http://a.example:22/"),
        *("http://0x7f000001/", "http://a.0x1/", "http://localhost/", "http://localhost./x"),
        *("http://router/", "http://printer.local/x", "http://x.localhost/", "http://127.0.0.1./"),
        "http://[x",
    ],
)
def test_a_picture_of_an_inner_host_is_left_out(image: str) -> None:
    found = preview(f"<title>x</title><meta property='og:image' content='{image}'>")
    assert found is not None
    assert found["image_url"] is None


@pytest.mark.parametrize(
    ("page", "charset"),
    [
        ("<title>你好</title>".encode("gbk"), "GBK"),
        ("<meta charset=gb18030><title>你好</title>".encode("gb18030"), None),
        ("<title>你好</title>".encode(), None),
        ("\ufeff<title>你好</title>".encode(), "latin-1"),
        ("<title>你好</title>".encode(), "unicode_escape"),
        ("<title>你好</title>".encode(), "no such thing"),
        ("<title>你好</title>".encode(), "idna\0"),
    ],
)
def test_a_page_is_read_in_its_encoding(page: bytes, charset: str | None) -> None:
    found = preview(page, charset)
    assert found is not None
    assert found["title"] == "你好"


@pytest.mark.parametrize(
    "part",
    [
        *("<div>", "<", "<!--", "<a ", "<a x='", "</", "&", "&#", "<![CDATA[", "<![x[", "<!"),
        *("<a b ", "<?", "<meta name=description content=x>", "<title>", "<script></"),
    ],
)
def test_a_hostile_page_takes_no_more_time_than_its_size(part: str) -> None:
    page = (part * 524_288)[:524_288].encode()
    begun = time.process_time()
    preview(page)
    assert time.process_time() - begun < 8
