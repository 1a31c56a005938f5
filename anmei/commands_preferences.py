"""Commands about what a user sets for a conversation, the same on all of the user's devices."""

from typing import Final

import msgspec

#: `muted_until` of what is muted until somebody says otherwise.
FOREVER: Final = 2**53 - 1


class SetPreference(msgspec.Struct):
    """Change what the user has set for one conversation; what is left `UNSET` stays. Reply:
    `{"preference": {…}}`, as it is now.

    A draft that was written before the one that is stored changes nothing: the last writer wins.
    More than `most_pinned` pinned conversations are `too_large`.
    """

    user_key: str
    conversation_key: str
    at: int
    #: None is not muted; else milliseconds since 1970, or `FOREVER`.
    muted_until: int | None | msgspec.UnsetType = msgspec.UNSET
    pinned: bool | msgspec.UnsetType = msgspec.UNSET
    #: An empty text is no draft.
    draft: str | msgspec.UnsetType = msgspec.UNSET
    #: When the draft was written.
    written_at: int = 0
    most_pinned: int = 100


def muted_until(on: bool, seconds: int | None, now: int) -> int | None:
    """The `muted_until` of a mute that begins now and lasts for so long, or until it is ended."""
    if not on:
        return None
    return FOREVER if seconds is None else now + seconds * 1_000
