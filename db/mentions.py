"""Whom a message mentions."""

from anmei.codec import encode
from anmei.errors import AnmeiError, ErrorCode
from anmei.ids import EVERYBODY, make_key
from db.batch import Batch, Place


def misfit(
    batch: Batch, place: Place, mentioned: tuple[str, ...], everybody: bool
) -> AnmeiError | None:
    """Why a message may not mention these: who is no member, or everybody (`@all`) where that is
    not for the sender to do."""
    members = batch.audience(place).members
    for user_id in mentioned:
        if user_id == EVERYBODY:
            if not everybody:
                return AnmeiError(
                    ErrorCode.FORBIDDEN,
                    f"mentions: {EVERYBODY} is for the owner of the conversation",
                )
        elif make_key(place.tenant, user_id) not in members:
            return AnmeiError(
                ErrorCode.BAD_REQUEST,
                f"mentions: expected ids of members of the conversation, got {ascii(user_id)}",
            )
    return None


def text(mentioned: tuple[str, ...]) -> str | None:
    """The mentions as they are stored, each once."""
    return encode(list(dict.fromkeys(mentioned))).decode() if mentioned else None
