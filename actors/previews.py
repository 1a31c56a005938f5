"""Link previews: what is committed here and begins with a link gets one, when there is time.

They stand beside the path of a message, never on it: the message was acknowledged and routed
before anybody looks at its link. What there is no room for goes without.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from actors.archive import Archive, Listener
from actors.counters import Counters
from actors.fetcher import Fetcher
from actors.supervisor import Supervisor
from anmei.codec import encode
from anmei.commands import Change, Outcome
from anmei.commands_previews import SetPreview
from anmei.links import first_link
from anmei.outward import Refused
from anmei.page_preview import read_page
from anmei.settings import Settings

WORKERS = 4
MOST_WAITING = 1_000
MOST_KNOWN = 1_000
KEEP = 3_600.0  # seconds that what a page said is taken as still true
KEEP_FAILED = 300.0  # and that one that said nothing is not asked again

log = logging.getLogger("anmei.previews")

Preview = dict[str, Any] | None


class Previews:
    """A listener of the archive in front of the router, and some workers."""

    def __init__(
        self,
        router: Listener,
        archive: Archive,
        fetcher: Fetcher,
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        self._router = router
        self._archive = archive
        self._fetcher = fetcher
        self._counters = counters
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue(MOST_WAITING)
        #: By link: until when it holds, and what came of it or will.
        self._known: OrderedDict[str, tuple[float, asyncio.Future[Preview]]] = OrderedDict()

    def apply(self, outcome: Outcome) -> None:
        self._router.apply(outcome)
        for change in outcome.changes:
            self._look(change)

    def gap(self) -> None:
        self._router.gap()

    async def run(self) -> None:
        """One worker; as many as WORKERS run side by side."""
        while True:
            conversation_key, message_id, url = await self._waiting.get()
            preview = await self._preview(url)
            if preview is not None:
                text = encode(preview).decode()
                self._archive.submit(SetPreview(conversation_key, message_id, url, text), _done)

    def _look(self, change: Change) -> None:
        """Notes a message that has a link and no preview of it."""
        message = change.data
        # A reaction to an old message is no reason to ask a page again; an edit is one.
        edited = change.type == "message_updated" and message["edited_at"] is not None
        if change.type != "new_message" and not edited:
            return
        if message["message_type"] != "text" or message["recalled_at"] is not None:
            return
        url = first_link(message["content"])
        if url is None or (message["link_preview"] or {}).get("url") == url:
            return
        try:
            self._waiting.put_nowait((change.conversation_key, message["id"], url))
        except asyncio.QueueFull:
            self._counters.previews_dropped += 1

    async def _preview(self, url: str) -> Preview:
        """What the page at `url` says; each is asked once in a while, however many send it."""
        until, known = self._known.get(url, (0.0, None))
        if known is not None and until > self._clock():
            return await asyncio.shield(known)
        future: asyncio.Future[Preview] = asyncio.get_running_loop().create_future()
        self._keep(url, self._clock() + KEEP_FAILED, future)
        try:
            preview = await self._fetch(url)
        except BaseException:
            self._known.pop(url, None)
            future.set_result(None)
            raise
        if preview is not None:
            self._keep(url, self._clock() + KEEP, future)
        future.set_result(preview)
        return preview

    def _keep(self, url: str, until: float, future: "asyncio.Future[Preview]") -> None:
        self._known[url] = (until, future)
        self._known.move_to_end(url)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    async def _fetch(self, url: str) -> Preview:
        try:
            page = await self._fetcher.fetch(url)
            preview = await asyncio.get_running_loop().run_in_executor(
                self._fetcher.threads, read_page, url, page.url, page.charset, page.content
            )
        except (Refused, OSError, TimeoutError, ValueError) as error:
            # The address is somebody's message: the log does not have it.
            log.info("no preview of a link: %s", type(error).__name__)
            preview = None
        if preview is None:
            self._counters.previews_failed += 1
        else:
            self._counters.previews += 1
        return preview


def listener(
    settings: Settings,
    router: Listener,
    archive: Archive,
    supervisor: Supervisor,
    counters: Counters,
) -> Listener:
    """Who hears of what is committed: the router, behind the previews where they are on."""
    if not settings.link_previews:
        return router
    clock = asyncio.get_running_loop().time
    previews = Previews(router, archive, Fetcher(), counters, clock)
    for number in range(WORKERS):
        supervisor.start(f"previews-{number}", previews.run)
    return previews


def _done(outcome: Outcome) -> None:
    """Nobody waits for it: what could not be written is done without."""
