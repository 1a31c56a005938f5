"""Every setting, once: name, type, default, unit and one sentence.

`settings_reader` reads them, once at start. Names that other systems use already (`DATABASE_URL`,
`JWT_SECRET`, `WS_…`) are kept; ours begin with `ANMEI_`. `docs/settings.md` shows the same table.
"""

from typing import Annotated

from anmei.settings_about import SettingsError, about
from anmei.settings_files import FileSettings

__all__ = ["Settings", "SettingsError", "split"]


class Settings(FileSettings, frozen=True, kw_only=True):
    """The settings of one process. Times are in the unit that the table names."""

    # Limits
    limit_connections_per_user: Annotated[
        int,
        about("ANMEI_LIMIT_CONNECTIONS_PER_USER", "", "Past it the oldest is replaced.", ge=1),
    ] = 5
    limit_connections: Annotated[
        int,
        about(
            "ANMEI_LIMIT_CONNECTIONS",
            "",
            "WebSocket connections of one process; 0 is no limit. In production set it below the "
            "open files that the process may have (`ulimit -n`) and what its memory holds.",
            ge=0,
        ),
    ] = 0
    limit_frames_per_second: Annotated[
        int,
        about(
            "ANMEI_LIMIT_FRAMES_PER_SECOND",
            "frames/s",
            "What one connection may send on average; 0 switches the limit off.",
            ge=0,
        ),
    ] = 100
    limit_frames_burst: Annotated[
        int,
        about("ANMEI_LIMIT_FRAMES_BURST", "frames", "What it may send at once.", ge=1),
    ] = 500
    limit_frame_bytes: Annotated[
        int,
        about("ANMEI_LIMIT_FRAME_BYTES", "bytes", "The largest frame of a client.", ge=1024),
    ] = 262_144
    limit_content_bytes: Annotated[
        int,
        about(
            "ANMEI_LIMIT_CONTENT_BYTES",
            "bytes",
            "The longest `content`, in UTF-8; 1 MiB at most.",
            ge=1,
            le=1_048_576,
        ),
    ] = 65_536
    limit_body_bytes: Annotated[
        int,
        about("ANMEI_LIMIT_BODY_BYTES", "bytes", "The largest HTTP body.", ge=1024),
    ] = 1_048_576
    limit_requests_per_second: Annotated[
        int,
        about(
            "ANMEI_LIMIT_REQUESTS_PER_SECOND",
            "requests/s",
            "HTTP requests of one user on average, services and admins excepted; 0 is no limit.",
            ge=0,
        ),
    ] = 50
    limit_requests_burst: Annotated[
        int,
        about("ANMEI_LIMIT_REQUESTS_BURST", "requests", "What one user may ask at once.", ge=1),
    ] = 200
    limit_inbox_frames: Annotated[
        int,
        about(
            "ANMEI_LIMIT_INBOX_FRAMES",
            "frames",
            "Frames of one user that may wait; past it reading from the user pauses.",
            ge=1,
        ),
    ] = 256
    limit_outbound_bytes: Annotated[
        int,
        about(
            "ANMEI_LIMIT_OUTBOUND_BYTES",
            "bytes",
            "What may wait for one device; past half of it typing and presence are left out, "
            "past it the connection ends.",
            ge=16_384,
        ),
    ] = 262_144
    limit_replay: Annotated[
        int,
        about(
            "ANMEI_LIMIT_REPLAY",
            "events",
            "The longest backlog of one conversation that is replayed; past it: `reset`.",
            ge=1,
            le=10_000,
        ),
    ] = 500
    limit_replay_total: Annotated[
        int,
        about(
            "ANMEI_LIMIT_REPLAY_TOTAL",
            "events",
            "The most that one sync replays of all conversations together; past it: `reset`, with "
            "the newest message.",
            ge=1,
            le=100_000,
        ),
    ] = 2_000
    limit_archive_queue: Annotated[
        int,
        about(
            "ANMEI_LIMIT_ARCHIVE_QUEUE",
            "writes",
            "Writes that may wait for the database; past it sends are `overloaded`.",
            ge=1,
        ),
    ] = 10_000
    limit_members: Annotated[
        int,
        about("ANMEI_LIMIT_MEMBERS", "users", "The most participants of a conversation.", ge=2),
    ] = 10_000
    limit_conversations_per_owner: Annotated[
        int,
        about(
            "ANMEI_LIMIT_CONVERSATIONS_PER_OWNER",
            "",
            "The most conversations that a user may own, other than by a service; 0 is no limit.",
            ge=0,
        ),
    ] = 10_000
    limit_presence_members: Annotated[
        int,
        about(
            "ANMEI_LIMIT_PRESENCE_MEMBERS",
            "users",
            "In conversations larger than this nobody is told who comes and goes.",
            ge=0,
        ),
    ] = 200
    limit_revocations: Annotated[
        int,
        about(
            "ANMEI_LIMIT_REVOCATIONS",
            "",
            "Revocations of one tenant that may be in force at once; 0 is no limit.",
            ge=0,
        ),
    ] = 10_000

    # The later life of messages
    recall_window: Annotated[
        int,
        about(
            "ANMEI_RECALL_WINDOW",
            "ms",
            "How long its sender may recall a message; 0 is for ever. The owner of the "
            "conversation and admins always may.",
            ge=0,
        ),
    ] = 120_000
    edit_window: Annotated[
        int,
        about("ANMEI_EDIT_WINDOW", "ms", "How long a message may be edited; 0 is for ever.", ge=0),
    ] = 0
    audit_days: Annotated[
        int,
        about(
            "ANMEI_AUDIT_DAYS",
            "days",
            "How long it is kept who changed which message; 0 is for ever.",
            ge=0,
        ),
    ] = 365
    # Acknowledgements
    ack_timeout: Annotated[
        int,
        about(
            "ANMEI_ACK_TIMEOUT",
            "ms",
            "How long a device that acknowledges what it gets may take for a message before it is "
            "sent again; 0: nothing is sent again.",
            ge=0,
        ),
    ] = 30_000
    resends: Annotated[
        int,
        about(
            "ANMEI_RESENDS",
            "",
            "How often it is sent again, each time after another such wait.",
            ge=0,
            le=10,
        ),
    ] = 2

    # The store
    db_readers: Annotated[
        int, about("ANMEI_DB_READERS", "threads", "Threads that read the database.", ge=1, le=64)
    ] = 4
    db_timeout: Annotated[
        int,
        about("ANMEI_DB_TIMEOUT", "ms", "The longest that one statement or lock may take.", ge=100),
    ] = 5_000
    db_batch: Annotated[
        int,
        about("ANMEI_DB_BATCH", "writes", "The most writes in one transaction.", ge=1, le=5_000),
    ] = 512
    search_interval: Annotated[
        int,
        about(
            "ANMEI_SEARCH_INTERVAL",
            "ms",
            "How often this process looks for messages that search cannot find yet; 0 leaves that "
            "to others.",
            ge=0,
            le=60_000,
        ),
    ] = 500

    # Messages
    link_previews: Annotated[
        bool,
        about(
            "ANMEI_LINK_PREVIEWS",
            "",
            "Whether the server fetches the pages that messages link to and shows what they say of "
            "themselves; each node needs a way out to ports 80 and 443 for it.",
        ),
    ] = False


def split(text: str) -> tuple[str, ...]:
    """The values of a setting that holds several, separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
