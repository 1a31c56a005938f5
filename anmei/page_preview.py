"""What a page says of itself: its OpenGraph fields, or else its title and description."""

import codecs
import contextlib
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

from anmei.content import one_line
from anmei.outward import Refused, is_public, read_url

MAX_TITLE = 200
MAX_DESCRIPTION = 500
MAX_SITE_NAME = 100
MAX_PIECES = 20_000  # tags, and texts between them
MAX_RAW = 4_096  # characters of one field that are looked at

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.I)
#: Encodings of pages. Python has others, that are slow or no encodings of text at all.
_ENCODINGS = re.compile(
    r"(utf-8|utf-16(-le|-be)?|ascii|iso8859-\d+|cp125\d|cp874|koi8-[ru]|gb2312|gbk|gb18030"
    r"|big5(hkscs)?|shift_jis|cp932|euc_jp|iso2022_jp|euc_kr|cp949)\Z"
)
#: How an address ends that browsers read as four numbers, be it `127.1` or `0x7f000001`.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
#: Last parts of names that are no names of the public internet, as are names of one part.
_INNER = frozenset(("localhost", "local", "internal", "lan", "home", "corp", "arpa"))
_FIELDS = {
    "title": ("og:title", "twitter:title"),
    "description": ("og:description", "twitter:description", "description"),
    "image": ("og:image:secure_url", "og:image", "og:image:url", "twitter:image"),
    "site": ("og:site_name",),
}


def read_page(link: str, page_url: str, charset: str | None, page: bytes) -> dict[str, Any] | None:
    """`{"url", "title", "description", "image_url", "site_name"}` of a page, None for one without
    a title. `link` is the address as it stands in the message, `page_url` where it led."""
    finder = _Finder()
    # The parser asserts that a `<![` is one of those it knows.
    with contextlib.suppress(_Enough, AssertionError):
        # Not closed: whatever stands at the end without its end is of no use here.
        finder.feed(_decode(page, charset))
    found = finder.found
    title = _first(found, "title") or one_line("".join(finder.title), MAX_TITLE)
    if not title:
        return None
    return {
        "url": link,
        "title": one_line(title, MAX_TITLE),
        "description": one_line(_first(found, "description"), MAX_DESCRIPTION) or None,
        "image_url": _image(page_url, _first(found, "image")),
        "site_name": one_line(_first(found, "site"), MAX_SITE_NAME) or None,
    }


class _Enough(Exception):
    """The head of the page is over."""


class _Finder(HTMLParser):
    """Reads the head of a page, whatever its tags are like."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: dict[str, str] = {}
        self.title: list[str] = []
        self._in_title = False
        self._pieces = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._count()
        if tag == "body":
            raise _Enough
        if tag == "title":
            self._in_title = not self.title
        elif tag == "meta":
            given = {name: value for name, value in reversed(attrs[:20]) if value is not None}
            name = given.get("property") or given.get("name") or ""
            content = given.get("content", "")[:MAX_RAW]
            if len(name) <= 40 and content.strip():
                self.found.setdefault(name.strip().lower(), content)

    def handle_endtag(self, tag: str) -> None:
        self._count()
        if tag == "head":
            raise _Enough
        if tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        self._count()
        if self._in_title and len(self.title) < 100:
            self.title.append(data[:MAX_RAW])

    def _count(self) -> None:
        self._pieces += 1
        if self._pieces > MAX_PIECES:
            raise _Enough


def _first(found: dict[str, str], field: str) -> str:
    return next((found[name] for name in _FIELDS[field] if name in found), "")


def _image(page_url: str, value: str) -> str | None:
    """The address of the picture; none of an inner host, which readers would be made to ask."""
    if not value:
        return None
    try:
        target = read_url(urljoin(page_url, value.strip()))
    except (Refused, ValueError):
        return None
    return target.url if _is_outer(target.host.rstrip(".")) else None


def _is_outer(host: str) -> bool:
    last = host.rpartition(".")[2]
    if ":" in host or _NUMBER.fullmatch(last):
        return is_public(host)
    return "." in host and last not in _INNER


def _decode(page: bytes, charset: str | None) -> str:
    if page.startswith(codecs.BOM_UTF8):
        return page[3:].decode("utf-8", "replace")
    declared = _META_CHARSET.search(page[:1024])
    for name in (charset, declared and declared[1].decode("ascii", "replace")):
        try:
            encoding = codecs.lookup(name).name if name else ""
        except (LookupError, ValueError):
            continue
        if _ENCODINGS.match(encoding):
            return page.decode(encoding, "replace")
    return page.decode("utf-8", "replace")
