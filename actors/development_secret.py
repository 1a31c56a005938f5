"""The secret of a server that nobody has configured: made on the first start, kept in a file.

It lets `python run.py` and `python run.py token` on one machine agree without any setup. In
production the settings ask for a secret of one's own.
"""

import os
import secrets
import stat
from pathlib import Path

from anmei.keys import MIN_SECRET_BYTES
from anmei.settings import SettingsError

FILE_NAME = "secret"


def development_secret(data_dir: Path) -> str:
    """The secret in `<data_dir>/secret`, which is made if it is not there.

    Processes that start at the same moment get the same secret. Raises SettingsError when the
    file cannot be used, or others can read it.
    """
    path = data_dir / FILE_NAME
    try:
        if not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            _make(path)
        return _read(path)
    except OSError as error:
        raise SettingsError(
            f"ANMEI_DATA_DIR: cannot keep the development secret in {path}: {error.strerror}; "
            "choose another directory, or set JWT_SECRET"
        ) from None


def _make(path: Path) -> None:
    """Puts a whole new secret at `path`, or leaves the one that another process put there."""
    # Written beside its place and linked into it, since whoever opens a file made in place may
    # find it still empty. link() is the step that only one process can win.
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(path: Path) -> str:
    with path.open() as file:
        # Asked of the open file: a path could lead to another one by now.
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SettingsError(f"{path} is no regular file: it cannot keep the secret")
        if status.st_mode & 0o077:
            raise SettingsError(
                f"{path} has mode {stat.S_IMODE(status.st_mode):04o}, so others can read the "
                "secret: remove it, and a new one is made at the next start"
            )
        try:
            secret = file.read(4_096).strip()
        except UnicodeDecodeError:
            secret = ""
    if len(secret) < MIN_SECRET_BYTES:
        raise SettingsError(
            f"{path} does not hold a secret of {MIN_SECRET_BYTES} characters or more: remove it, "
            "and a new one is made at the next start"
        )
    return secret
