"""Where a server is and where its data lies, in the words that are printed at the start."""

import re
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tornado.netutil import bind_sockets

from anmei.settings import Settings, SettingsError
from handlers.demo import demo_is_on

BACKLOG = 4_096  # connections that may wait to be accepted: a reconnect storm comes at once


def bind(settings: Settings) -> list[socket.socket]:
    """The listening sockets. Raises SettingsError where it is not possible to listen there."""
    try:
        return bind_sockets(settings.port, settings.host, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"ANMEI_HOST={settings.host} ANMEI_PORT={settings.port}: cannot listen there: "
            f"{error.strerror}; `--host` and `--port` choose another place"
        ) from None


def where(settings: Settings, sockets: Sequence[socket.socket]) -> str:
    """The URL of a server with these listening sockets."""
    # Everywhere is no place that a browser could go to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{sockets[0].getsockname()[1]}"


def database_url(settings: Settings) -> str:
    """Where the store lies: as set, or one SQLite file in the data directory. Raises SettingsError
    where that cannot be made."""
    if settings.database_url:
        return settings.database_url
    directory = Path(settings.data_dir)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise SettingsError(
            f"ANMEI_DATA_DIR={settings.data_dir}: cannot be written: {error.strerror}"
        ) from None
    return f"sqlite:///{directory.resolve() / 'anmei.db'}"


def greeting(settings: Settings, url: str) -> str:
    """Says where it is, where the data lies, and what to try next."""
    say = [f"Anmei is at {url}", f"  data      {shown_database(settings)}"]
    if demo_is_on(settings):
        say.append(f"  try       open {url} in two browser tabs and talk")
    if not (settings.jwt_public_key or settings.jwt_jwks_url):
        say.append(f"  token     {shown_python()} run.py token --user alice")
    say.append("  stop      Ctrl-C")
    return "\n".join(say)


def shown_python() -> str:
    """This Python as one would type it here."""
    path = Path(sys.executable)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def shown_database(settings: Settings) -> str:
    """Where the data lies, without a password."""
    return re.sub(r"//([^:/@]*):[^@]*@", r"//\1:***@", database_url(settings))
