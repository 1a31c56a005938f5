"""The page at `/` and the files it is made of."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from anmei.errors import not_found
from handlers.api import ApiHandler

INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=UTF-8",
    ".js": "text/javascript; charset=UTF-8",
    ".css": "text/css; charset=UTF-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json; charset=UTF-8",
}
POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' blob:; "
    "media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'"
)


class File(NamedTuple):
    """A file as it is sent."""

    content: bytes
    type: str
    etag: str


def read_files(directory: Path) -> dict[str, File]:
    """Every file of a kind above, by its path below `directory`.

    Read once: what is not in the table cannot be asked for, whatever a path holds.
    """
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.suffix in TYPES:
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            name = path.relative_to(directory).as_posix()
            found[name] = File(content, TYPES[path.suffix], etag)
    return found


class Pages(ApiHandler):
    """`/`, and `/web/{path}`"""

    needs = None

    def initialize(self, files: dict[str, File]) -> None:
        self._files = files

    def get(self, path: str = INDEX) -> None:
        file = self._files.get(path)
        if file is None:
            raise not_found("page")
        self.set_header("Content-Type", file.type)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Etag", file.etag)
        if self.check_etag_header():
            self.set_status(304)
            return
        self.finish(file.content)
