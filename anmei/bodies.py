"""What a message of each kind holds besides its text.

A `text` has no body; every other kind has one, an object of the struct below. Fields that a struct
does not know are left out of what is stored, and so are optional ones that were not given.
"""

from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from anmei.codec import MAX_BODY_BYTES, check_size, encode, explain
from anmei.content import check_content, check_line
from anmei.errors import AnmeiError, ErrorCode
from anmei.frames import MAX_SEQ, Id

MAX_URL_LENGTH = 2_048
MAX_NAME_LENGTH = 255
MAX_ALT_LENGTH = 1_000
MAX_TITLE_LENGTH = 200
MAX_CARD_TEXT_BYTES = 4_096
MAX_LABEL_LENGTH = 80
MAX_BUTTONS = 6
MAX_WAVEFORM = 128
MAX_VALUES = 32
MAX_DURATION_MS = 86_400_000  # a day
MAX_PIXELS = 100_000

Pixels = Annotated[int, Meta(ge=1, le=MAX_PIXELS)]
Level = Annotated[int, Meta(ge=0, le=255)]
Number = Annotated[int, Meta(ge=-MAX_SEQ, le=MAX_SEQ)]
Action = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:/-]{1,128}$(?!\n)")]
EventName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.]{0,63}$(?!\n)")]
ValueName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$(?!\n)")]


class Image(msgspec.Struct, omit_defaults=True):
    """A picture, its size in pixels, and what is read out in its place."""

    attachment_id: Id
    width: Pixels
    height: Pixels
    alt: str | None = None
    thumbnail_id: Id | None = None

    def check(self) -> None:
        if self.alt is not None:
            self.alt = check_line("body.alt", self.alt, MAX_ALT_LENGTH)


class File(msgspec.Struct, omit_defaults=True):
    """A file, the name that people see, and its size in bytes."""

    attachment_id: Id
    name: str
    size: Annotated[int, Meta(ge=0, le=MAX_SEQ)]

    def check(self) -> None:
        self.name = check_line("body.name", self.name, MAX_NAME_LENGTH)


class Voice(msgspec.Struct, omit_defaults=True):
    """A recording, how long it is, and how loud along the way."""

    attachment_id: Id
    duration_ms: Annotated[int, Meta(ge=1, le=MAX_DURATION_MS)]
    waveform: Annotated[list[Level], Meta(max_length=MAX_WAVEFORM)] | None = None

    def check(self) -> None:
        """There is nothing that the types do not say."""


class Button(msgspec.Struct, omit_defaults=True):
    """Opens a page, or names an action that the app knows: one of the two."""

    label: str
    url: str | None = None
    action: Action | None = None


class Card(msgspec.Struct, omit_defaults=True):
    """A title with a text, a picture, a link and buttons."""

    title: str
    text: str | None = None
    image_id: Id | None = None
    url: str | None = None
    buttons: Annotated[list[Button], Meta(max_length=MAX_BUTTONS)] | None = None

    def check(self) -> None:
        self.title = check_line("body.title", self.title, MAX_TITLE_LENGTH)
        if self.text is not None:
            check_content(self.text, MAX_CARD_TEXT_BYTES, "body.text")
        if self.url is not None:
            check_url("body.url", self.url)
        for number, button in enumerate(self.buttons or ()):
            place = f"body.buttons[{number}]"
            button.label = check_line(f"{place}.label", button.label, MAX_LABEL_LENGTH)
            if (button.url is None) == (button.action is None):
                raise _bad(f"{place}: expected either url or action")
            if button.url is not None:
                check_url(f"{place}.url", button.url)


class System(msgspec.Struct, omit_defaults=True):
    """Something that happened, told by a backend: clients put it into words."""

    event: EventName
    values: Annotated[
        dict[ValueName, str | Number | float | bool | None], Meta(max_length=MAX_VALUES)
    ]

    def check(self) -> None:
        """There is nothing that the types do not say."""


Body = Image | File | Voice | Card | System

BODIES: dict[str, type[Body]] = {
    "image": Image,
    "file": File,
    "voice": Voice,
    "card": Card,
    "system": System,
}
_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(struct) for kind, struct in BODIES.items()
}


def check_body(kind: str, raw: msgspec.Raw, *, privileged: bool) -> str | None:
    """The body of a message of this kind as the JSON text to store, None for a `text`.

    `privileged`: the sender is a service or an admin, who alone send `system` messages. Raises
    AnmeiError that names what was expected.
    """
    check_size("body", raw, MAX_BODY_BYTES)
    given = bytes(raw).strip() != b"null"
    decoder = _decoders.get(kind)
    if decoder is None:
        if given:
            raise _bad(
                f"body: a message of type {kind} has none; {', '.join(BODIES)} are those with one"
            )
        return None
    if kind == "system" and not privileged:
        raise AnmeiError(ErrorCode.FORBIDDEN, "message_type: only a service sends `system`")
    if not given:
        raise _bad(f"body: a message of type {kind} needs one, {describe(BODIES[kind])}")
    try:
        body = decoder.decode(raw)
    except (ValueError, RecursionError) as error:
        expected = describe(BODIES[kind])
        raise _bad(f"body of type {kind}: expected {expected}: {explain(error)}") from None
    body.check()
    text = encode(msgspec.to_builtins(body))
    check_size("body", text, MAX_BODY_BYTES)
    return text.decode()


def attachment_ids(kind: str, body: dict[str, Any] | None) -> tuple[str, ...]:
    """The attachments that a body names, the one that it is about first."""
    if body is None or kind not in ("image", "file", "voice", "card"):
        return ()
    named = (body.get(field) for field in ("attachment_id", "thumbnail_id", "image_id"))
    return tuple(dict.fromkeys(id for id in named if id is not None))


def check_url(field: str, url: str) -> None:
    """Raises AnmeiError for anything but an address of a page that a browser may open."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        _ = parts.port  # raises where it is none
    except ValueError:
        good = False
    if not good or len(url) > MAX_URL_LENGTH or not url.isprintable() or " " in url or "\\" in url:
        raise _bad(
            f"{field}: expected http:// or https:// with a host, at most {MAX_URL_LENGTH} "
            "characters, without a user, spaces or control characters"
        )


def describe(struct: type[msgspec.Struct]) -> str:
    """The fields of a body in words, `?` behind those that may be left out."""
    fields = msgspec.structs.fields(struct)
    names = (each.name + ("" if each.required else "?") for each in fields)
    return "{" + ", ".join(names) + "}"


def _bad(message: str) -> AnmeiError:
    return AnmeiError(ErrorCode.BAD_REQUEST, message)
