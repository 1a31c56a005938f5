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
    url = found[0].rstrip(_BEHIND)
    # In (https://example.org/a) the bracket belongs to the text, in …/A_(b) to the address.
    for opening, closing in ("()", "[]"):
        while url.endswith(closing) and url.count(closing) > url.count(opening):
            url = url[:-1].rstrip(_BEHIND)
    return url if len(url) <= MAX_URL_LENGTH and len(url) > len("https://") else None
