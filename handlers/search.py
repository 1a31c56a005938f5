"""Finding messages by what they say, who sent them, where, when, and under which tag."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec

from anmei.errors import AnmeiError, ErrorCode
from anmei.frames import Id, MessageType
from anmei.ids import make_key
from anmei.search_terms import read_terms
from anmei.tags import check_tag
from db import queries
from handlers.api import ApiHandler

MAX_LIMIT = 50
TIMEOUT_MS = 2_000
AT_ONCE = 2  # searches that may hold a reader of the store
WAITING = 32  # that may wait for one of those
OF_ONE = 4  # of one user, under way or waiting

_EPOCH = datetime.fromtimestamp(0, UTC)


class SearchPage(msgspec.Struct, forbid_unknown_fields=True):
    """What is looked for, each of it optional, but not all."""

    q: str = ""
    sender: Id | None = None
    conversation_id: Id | None = None
    kind: MessageType | None = None
    tag: str | None = None
    after: str | None = None
    before: str | None = None
    cursor: str | None = None
    limit: int = 20
    user_id: Id | None = None


class SearchQueue:
    """Who may search now: few at a time, since each may take long and others read, too, and one of
    a user, so that nobody waits for all that another one looks for."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._of: Counter[str] = Counter()
        self._own: dict[str, asyncio.Lock] = {}

    async def enter(self, user_key: str) -> None:
        """Waits for a turn. Raises AnmeiError (OVERLOADED) where too many do already."""
        if self._of[user_key] >= OF_ONE or self._of.total() >= AT_ONCE + WAITING:
            raise AnmeiError(
                ErrorCode.OVERLOADED, "too many searches are under way", retry_after_ms=1_000
            )
        self._of[user_key] += 1
        own = self._own.setdefault(user_key, asyncio.Lock())
        try:
            await own.acquire()
            try:
                await self._turn.acquire()
            except BaseException:
                own.release()
                raise
        except BaseException:
            self._left(user_key)
            raise

    def leave(self, user_key: str) -> None:
        self._turn.release()
        self._own[user_key].release()
        self._left(user_key)

    def _left(self, user_key: str) -> None:
        self._of[user_key] -= 1
        if not self._of[user_key]:
            del self._of[user_key], self._own[user_key]


class Search(ApiHandler):
    """`/api/v1/messages/search`"""

    def initialize(self, queue: SearchQueue) -> None:
        self._queue = queue

    async def get(self) -> None:
        page = self.query(SearchPage)
        if not 1 <= page.limit <= MAX_LIMIT:
            raise _bad(f"limit: expected 1 to {MAX_LIMIT}, got {page.limit}")
        tenant = self.principal.tenant
        user_key = make_key(tenant, self.acting_for(page.user_id, "user_id"))
        wanted = queries.Wanted(
            terms=read_terms(page.q),
            sender_key=None if page.sender is None else make_key(tenant, page.sender),
            conversation_key=(
                None if page.conversation_id is None else make_key(tenant, page.conversation_id)
            ),
            kind=page.kind,
            tag=None if page.tag is None else check_tag("tag", page.tag),
            after=_time("after", page.after),
            before=_time("before", page.before),
        )
        named = (wanted.sender_key, wanted.conversation_key, wanted.kind, wanted.tag)
        if not wanted.terms.words and named == (None, None, None, None):
            raise _bad("expected words in q, or one of sender, conversation_id, kind and tag")
        await self._queue.enter(user_key)
        try:
            found = await self.read(
                queries.search, user_key, wanted, page.cursor, page.limit, TIMEOUT_MS
            )
        finally:
            self._queue.leave(user_key)
        self.reply(200, found)


def _time(field: str, text: str | None) -> int | None:
    """A time as the wire writes it, or a date, in milliseconds since 1970."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return (when - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise _bad(
            f"{field}: expected a time such as 2026-01-02T03:04:05Z, or a date, "
            f"got {ascii(text[:64])}"
        ) from None


def _bad(message: str) -> AnmeiError:
    return AnmeiError(ErrorCode.BAD_REQUEST, message)
