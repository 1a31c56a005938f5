"""The links in a text."""

import re

MAX_URL_LENGTH = 2_048

#: Up to a space, a quote, a bracket that no address holds, or the punctuation of a Chinese text.
_LINK = re.compile(
    r"(?<![A-Za-z0-9])https?://[^\s<>\"'`{}|\\^\u3000-\u303f\uff01-\uff0f\uff1a-\uff20]+"
)
_BEHIND = ".,;:!?…*_~"


def first_link(text: str) -> str | None:
    """The first http or https address in a text, None where there is none."""
    found = _LINK.search(text)
    if found is None:
        return None
    url = _without_end(found[0])
    return url if len(url) <= MAX_URL_LENGTH and len(url) > len("https://") else None


def _without_end(url: str) -> str:
    """The address without what belongs to the text behind it, by one look at each character: in
    (https://example.org/a) the bracket is the text's, in …/A_(b) it is the address's."""
    unopened = {
        closing: url.count(closing) - url.count(opening) for opening, closing in ("()", "[]")
    }
    end = len(url)
    while end:
        last = url[end - 1]
        if unopened.get(last, 0) > 0:
            unopened[last] -= 1
        elif last not in _BEHIND:
            break
        end -= 1
    return url[:end]
