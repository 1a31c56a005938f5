"""Where the bytes of files lie: shared by all nodes, so that an upload goes on at any of them.

Every method may wait, and is called in a thread; one file is never in two calls at once. A storage
keeps no list: what it must remember of a file is a text, its `place`, that is kept in the database
and handed back. Names are ids that the server made.
"""

from typing import Protocol


class StorageError(Exception):
    """The storage cannot be reached, is full, or has lost something."""


class Writer(Protocol):
    """Writes one file from where it was opened."""

    def write(self, data: bytes) -> None:
        """Takes the next bytes."""

    def save(self) -> str:
        """Returns the place once all that was taken is safe against a power cut."""

    def finish(self) -> str:
        """The same for the whole file, which can be read from then on. May be called again."""

    def close(self) -> None:
        """Lets go of it; what was not saved may be lost."""


class Reader(Protocol):
    """Reads one file."""

    def read(self, most: int) -> bytes:
        """The next bytes, at most that many; empty at the end of the part."""

    def close(self) -> None:
        """Lets go of it."""


class Storage(Protocol):
    """All files. What it cannot do raises StorageError."""

    def open(self) -> None:
        """Looks whether it can be used."""

    def writer(self, name: str, place: str, offset: int, size: int) -> Writer:
        """Goes on with a file of `size` bytes of which the first `offset` were saved as `place`;
        empty: it is new."""

    def reader(self, name: str, place: str, start: int, end: int) -> Reader:
        """Reads the bytes from `start` up to, and without, `end` of a finished file."""

    def remove(self, name: str, place: str) -> None:
        """Takes away whatever there is of a file; nothing, where there is nothing."""

    def close(self) -> None:
        """The end."""
