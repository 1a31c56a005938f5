"""Anmei's composition root and command line.

`serve` opens everything in a visible order and closes it in reverse; nothing else in the program
knows how the parts are put together.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import cast

if importlib.util.find_spec("tornado") is None:
    sys.exit(
        "anmei: its packages are not in this Python; `make run` installs them in .venv, and "
        "then it is .venv/bin/python run.py"
    )

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from actors import tokens_offline
from actors.archive import Archive
from actors.audit_sweep import AuditSweep
from actors.collector import Collector
from actors.counters import Counters
from actors.doctor import examine
from actors.drain import drain
from actors.files import Files
from actors.flusher import Flusher
from actors.heartbeat import Heartbeat
from actors.indexer import Indexer
from actors.keyring import Keyring
from actors.links import make_links, make_reckoning
from actors.previews import listener
from actors.revocations import Revocations
from actors.router import Router
from actors.spending import Spending
from actors.storages import make_storage
from actors.supervisor import Supervisor
from actors.transfer import add_arguments, export_to, import_from
from actors.workers import READY, Workers
from anmei import __version__, ids
from anmei.errors import AnmeiError
from anmei.logs import set_up_logs
from anmei.principal import ROLES
from anmei.settings import Settings, SettingsError
from anmei.settings_reader import load
from anmei.settings_table import TABLE, type_name
from db.errors import StoreUnavailable
from db.migrate import migrate
from db.store import Store, opened
from handlers.listener import listeners
from handlers.places import bind, database_url, greeting, where
from handlers.request_limit import RequestLimit
from handlers.routes import make_app
from handlers.services import Services

HEADER_TIMEOUT = 10.0  # seconds for a request's headers, and for a kept-alive connection's next
BODY_TIMEOUT = 30.0  # seconds for a request's body

FEW = 100  # connections that a stop of some milliseconds does not disturb

log = logging.getLogger("anmei")


class Running:
    """A server that listens."""

    def __init__(self, services: Services, url: str) -> None:
        self.services = services
        self.url = url


@contextlib.asynccontextmanager
async def serve(
    settings: Settings, inherited: Sequence[socket.socket] = ()
) -> AsyncIterator[Running]:
    """The whole server, listening inside the block and drained at its end.

    `inherited` are listening sockets to serve, in place of those that the settings name.
    """
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as undo:
        # First: a port that is taken is said before anything is done.
        sockets = inherited or listeners(bind(settings))
        for each in sockets:
            undo.callback(each.close)
        counters = Counters()
        store = Store(
            database_url(settings), readers=settings.db_readers, timeout_ms=settings.db_timeout
        )
        await asyncio.to_thread(store.open)
        undo.push_async_callback(asyncio.to_thread, store.close)

        revocations = Revocations(store)
        await revocations.load()
        keyring = Keyring(settings, revocations.covers)
        await keyring.start()
        undo.push_async_callback(keyring.stop)

        node_id = ids.new_id("node")
        supervisor = Supervisor(counters)
        undo.push_async_callback(supervisor.stop)
        bus, presence = await make_links(node_id, settings, loop, supervisor, counters)

        archive = Archive(
            store,
            batch=settings.db_batch,
            queue=settings.limit_archive_queue,
            counters=counters,
            patience=4 * settings.db_timeout / 1000,
        )
        router = Router(
            node_id,
            loop=loop,
            settings=settings,
            store=store,
            archive=archive,
            presence=presence,
            bus=bus,
            supervisor=supervisor,
            counters=counters,
        )
        undo.callback(router.close)
        revocations.attend(router)
        heard = listener(settings, router, archive, supervisor, counters)
        reckoning = make_reckoning(settings, heard, router, bus)
        supervisor.start("archive", lambda: archive.run(reckoning))
        router.listen()
        await bus.start()
        undo.push_async_callback(bus.stop)
        # Before the bus ends: what is written last is told to the others, too.
        undo.push_async_callback(archive.flush)
        await presence.start()
        undo.push_async_callback(presence.stop)
        heartbeat = Heartbeat(settings, loop)
        supervisor.start("heartbeat", heartbeat.run)
        if router.resend.on:
            supervisor.start("resend", router.resend.run)
        supervisor.start("revocations", revocations.run)
        supervisor.start("indexer", Indexer(store, counters, settings.search_interval).run)
        supervisor.start("audit", AuditSweep(archive, settings.audit_days).run)

        spending = Spending(bus, settings.limit_requests_per_second)
        request_limit = RequestLimit(
            settings.limit_requests_per_second, settings.limit_requests_burst, loop, spending.note
        )
        spending.attend(router.relay, request_limit.spent_elsewhere)
        supervisor.start("spending", spending.run)
        files = Files(settings, make_storage(settings), store, archive, supervisor)
        undo.push_async_callback(files.stop)
        await files.start()

        services = Services(
            settings=settings,
            loop=loop,
            counters=counters,
            store=store,
            archive=archive,
            bus=bus,
            presence=presence,
            router=router,
            reckoning=reckoning,
            keyring=keyring,
            revocations=revocations,
            flusher=Flusher(loop, counters, settings.write_rate, settings.write_delay / 1000),
            heartbeat=heartbeat,
            request_limit=request_limit,
            files=files,
        )
        server = HTTPServer(
            make_app(services),
            idle_connection_timeout=HEADER_TIMEOUT,
            body_timeout=BODY_TIMEOUT,
            max_body_size=settings.limit_body_bytes,
            max_buffer_size=max(settings.limit_body_bytes, settings.limit_frame_bytes) + 65_536,
            max_header_size=65_536,
        )
        server.add_sockets(sockets)
        undo.push_async_callback(server.close_all_connections)
        undo.push_async_callback(drain, router, settings.drain_timeout / 1000 / 2)
        undo.callback(server.stop)
        yield Running(services, where(settings, sockets))


async def run_server(settings: Settings) -> int:
    async with serve(settings) as running:
        print(greeting(settings, running.url), flush=True)
        await serve_until(stop_signals(), running, settings)
    return 0


async def run_worker(settings: Settings, inherited: Sequence[int], parent: int) -> int:
    """One of several: serves the sockets it was handed, and ends when its parent does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal's goes to all; it is the parent's
    stop = stop_signals()
    with contextlib.ExitStack() as held:
        link = held.enter_context(socket.socket(fileno=parent))
        listening = listeners((socket.socket(fileno=each) for each in inherited), shared=True)
        link.setblocking(False)
        async with serve(settings, listening) as running:
            link.send(READY)
            # Nothing is ever sent this way: what there is to read is the end.
            asyncio.get_running_loop().add_reader(link, stop.set)
            await serve_until(stop, running, settings)
            asyncio.get_running_loop().remove_reader(link)
    return 0


def stop_signals() -> asyncio.Event:
    """Set when the operator wants the server to end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def serve_until(stop: asyncio.Event, running: Running, settings: Settings) -> None:
    router = running.services.router
    collector = Collector(settings.gc_threshold, lambda: router.connections < FEW)
    router.supervisor.start("collector", collector.run)
    await stop.wait()
    log.info("stopping: clients are sent home, what was taken is written")
    # A stop that hangs is a stop all the same: nothing acknowledged is lost by ending here.
    asyncio.get_running_loop().call_later(settings.drain_timeout / 1000, os._exit, 1)


def run_workers(settings: Settings) -> int:
    """Several processes on one port. This one opens the sockets and nothing else; the first worker
    to come migrates the database, under the lock that nodes of several machines need as well."""
    shared = bind(settings)
    listening = [list(shared) for _ in range(settings.workers)]
    if settings.worker_port:
        for number, sockets in enumerate(listening):
            sockets += bind_sockets(settings.worker_port + number, settings.host, backlog=128)
    command = [sys.executable, str(Path(__file__).resolve()), "serve", "--host", settings.host]
    workers = Workers(command, listening, settings.drain_timeout / 1000)
    return workers.run(lambda: print(greeting(settings, where(settings, shared)), flush=True))


def command_serve(settings: Settings, arguments: argparse.Namespace) -> int:
    set_up_logs(settings)
    if settings.workers > 1 and not arguments.inherit:
        return run_workers(settings)
    with asyncio.Runner(loop_factory=loop_factory(settings)) as runner:
        if arguments.inherit:
            return runner.run(run_worker(settings, arguments.inherit, arguments.parent))
        return runner.run(run_server(settings))


def loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """How the event loop is made; None is asyncio's own way."""
    if settings.loop == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        raise SettingsError(
            "ANMEI_LOOP=uvloop: the package is not installed; `pip install uvloop` brings it"
        ) from None
    return cast(Callable[[], asyncio.AbstractEventLoop], uvloop.new_event_loop)


def command_token(settings: Settings, arguments: argparse.Namespace) -> int:
    user, tenant = arguments.user, arguments.tenant
    if arguments.revoke:
        url = database_url(settings)
        done = tokens_offline.revoke(
            settings, url, tenant=tenant, user_id=user, token_id=arguments.jti
        )
        print(done)
        return 0
    if user is None or arguments.jti is not None:
        raise SettingsError("token: expected --user, and --jti with --revoke alone")
    roles = arguments.role or ["user"]
    token, notice = tokens_offline.sign(
        settings, user, tenant=tenant, roles=roles, name=arguments.name, ttl=arguments.ttl
    )
    print(token)
    if notice is not None:
        print(f"anmei: {notice}", file=sys.stderr)
    return 0


def command_migrate(settings: Settings, arguments: argparse.Namespace) -> int:
    done = migrate(database_url(settings))
    print("\n".join(f"applied {name}" for name in done) or "nothing to do: all is applied")
    return 0


def command_settings(settings: Settings, arguments: argparse.Namespace) -> int:
    """The table, with what is in force now."""
    for row in TABLE:
        value = getattr(settings, row.field)
        shown = ("(set)" if value else "(empty)") if row.secret else str(value) or "(empty)"
        unit = f" {row.unit}" if row.unit else ""
        print(f"{row.name}={shown}{unit}\n    {row.doc} ({type_name(row)})")
    return 0


def command_export(settings: Settings, arguments: argparse.Namespace) -> int:
    with opened(database_url(settings), timeout_ms=settings.db_timeout) as store:
        done = export_to(store, arguments.tenant, arguments.conversation, arguments.out)
    print(done, file=sys.stderr)
    return 0


def command_import(settings: Settings, arguments: argparse.Namespace) -> int:
    with opened(database_url(settings), timeout_ms=settings.db_timeout) as store:
        print(import_from(store, arguments.tenant, arguments.file))
    return 0


def command_doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    findings = examine(settings, database_url(settings))
    for finding in findings:
        print(f"{'ok ' if finding.ok else 'BAD'}  {finding.what}: {finding.text}")
    return 0 if all(finding.ok for finding in findings) else 1


def seconds(text: str) -> int:
    """A time span such as `90`, `15m`, `1h` or `7d`, in seconds."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a time such as 90, 15m, 1h or 7d")
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="run.py", description="Anmei, a self-hosted realtime messaging server."
    )
    top.add_argument("--version", action="version", version=f"Anmei {__version__}")
    commands = top.add_subparsers(dest="command", metavar="command")
    server = commands.add_parser("serve", help="run the server (the default)")
    server.add_argument("--host", help="the address to listen on")
    server.add_argument("--port", help="the port to listen on; 0 picks a free one")
    server.add_argument("--workers", help="processes on one port; several need REDIS_URL")
    # How a worker is started by its parent.
    server.add_argument("--inherit", nargs="+", type=int, help=argparse.SUPPRESS)
    server.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    server.set_defaults(run=command_serve)
    token = commands.add_parser("token", help="print a token for a user")
    token.add_argument("--user", help="the user's id")
    token.add_argument("--revoke", action="store_true", help="take back all of --user, or --jti")
    token.add_argument("--jti", help="the id of one token, to revoke it")
    token.add_argument("--role", action="append", choices=ROLES, help="may be given several times")
    token.add_argument("--tenant", default="default")
    token.add_argument("--name", help="the display name")
    token.add_argument("--ttl", type=seconds, default=86_400, help="such as 90, 15m, 1h or 7d")
    token.set_defaults(run=command_token)
    commands.add_parser("migrate", help="bring the database up to date").set_defaults(
        run=command_migrate
    )
    out, back = add_arguments(commands)
    out.set_defaults(run=command_export)
    back.set_defaults(run=command_import)
    commands.add_parser("settings", help="list every setting").set_defaults(run=command_settings)
    commands.add_parser("doctor", help="look for what would go wrong").set_defaults(
        run=command_doctor
    )
    return top


def main(arguments: Sequence[str]) -> int:
    words = list(arguments)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "serve")
    parsed = parser().parse_args(words)
    flags = {
        name: value
        for name, flag in (
            ("ANMEI_HOST", "host"),
            ("ANMEI_PORT", "port"),
            ("ANMEI_WORKERS", "workers"),
        )
        if (value := getattr(parsed, flag, None)) is not None
    }
    try:
        settings = load(os.environ, flags, Path(".env"))
        return int(parsed.run(settings, parsed))
    except StoreUnavailable as error:
        print(f"anmei: DATABASE_URL: cannot be reached: {error}", file=sys.stderr)
    except (SettingsError, AnmeiError, OSError) as error:
        print(f"anmei: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
