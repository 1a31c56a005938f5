"""What can be asked of the store about files. How a command is executed: `anmei.commands`.

An attachment begins as an *upload*: it has a size, and grows until that is reached. Whoever writes
to it holds its *lease*, a word of their own that is good until a time; without it nothing about the
upload changes, so that of two who write, on whichever nodes, one is refused. Then it is *ready*:
messages carry it, until the last one that does is recalled. What is *removed* is there for nobody;
its data goes, and then its row.
"""

import msgspec


class CreateUpload(msgspec.Struct):
    """Begin an upload. Reply: `{"received": 0}`.

    `too_large` where the owner's files would take more than `most_bytes` with it, `rate_limited`
    where `most_uploads` of theirs are under way; 0 is no limit.
    """

    attachment_id: str
    tenant: str
    owner_key: str
    size: int
    name: str
    content_type: str
    #: What the client wrote about it, as it wrote it.
    metadata: str | None
    created_at: int
    expires_at: int
    most_bytes: int = 0
    most_uploads: int = 0


class TakeUpload(msgspec.Struct):
    """Take the lease of an upload that has `offset` bytes (None: however many it has).

    Reply: the row as `query_attachments.upload` shows it. `not_found` for anybody but the owner,
    `conflict` for another offset, `locked` while somebody else's lease holds.
    """

    attachment_id: str
    owner_key: str
    lease: str
    now: int
    until: int
    offset: int | None = None


class SaveUpload(msgspec.Struct):
    """Note how much of an upload is safe in the storage, and what the storage must remember.

    `until` prolongs the lease, 0 gives it back. Reply: `{}`; `locked` for one whose lease another
    has taken, or whose upload is gone.
    """

    attachment_id: str
    lease: str
    received: int
    place: str
    until: int
    expires_at: int


class FinishUpload(msgspec.Struct):
    """Make an upload whose every byte is there ready, and give its lease back. Reply: `{}`.
    `locked` as for SaveUpload."""

    attachment_id: str
    lease: str
    place: str
    sha256: str
    content_type: str
    #: Whether a browser may show it in a page.
    safe: bool
    #: When it goes, where no message carries it by then.
    expires_at: int


class RemoveFile(msgspec.Struct):
    """Let a file go, by its owner. Reply: `{}`. `not_found` for anybody else; `conflict` while a
    message carries it."""

    attachment_id: str
    owner_key: str
    now: int


class ExpireFiles(msgspec.Struct):
    """Let the first `limit` files go whose time has come. Reply: `{"expired": n}`."""

    now: int
    limit: int


class ForgetFiles(msgspec.Struct):
    """Take the rows out whose data is gone. Reply: `{}`."""

    attachment_ids: tuple[str, ...]


class DropLeases(msgspec.Struct):
    """End every lease: for a process that is alone, and has just begun. Reply: `{}`."""


FileCommand = (
    CreateUpload
    | TakeUpload
    | SaveUpload
    | FinishUpload
    | RemoveFile
    | ExpireFiles
    | ForgetFiles
    | DropLeases
)
