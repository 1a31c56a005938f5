"""Files in a directory. Nodes on several machines share it by a network file system."""

import os
from pathlib import Path

from actors.storage import StorageError


class DiskStorage:
    """One file for each, by its id, in folders by the end of the id: those are random, so that no
    folder gets too large."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self._directory / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StorageError(f"{self._directory}: cannot be written: {error.strerror}") from None

    def writer(self, name: str, place: str, offset: int, size: int) -> "DiskWriter":
        try:
            return DiskWriter(self._path(name), offset, new=not place)
        except OSError as error:
            raise StorageError(f"{error.strerror}") from None

    def reader(self, name: str, place: str, start: int, end: int) -> "DiskReader":
        try:
            return DiskReader(self._path(name), start, end)
        except OSError as error:
            raise StorageError(f"{error.strerror}") from None

    def remove(self, name: str, place: str) -> None:
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{error.strerror}") from None

    def close(self) -> None:
        """Nothing is held."""

    def _path(self, name: str) -> Path:
        return self._directory / name[-2:] / name


class DiskWriter:
    """Appends to one file; what lies behind the bytes that were saved is written over."""

    def __init__(self, path: Path, offset: int, *, new: bool) -> None:
        if new:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags | (os.O_CREAT if new else 0), 0o600)
        try:
            if os.fstat(self._file).st_size < offset:
                raise StorageError("a part of it is missing: do all nodes share ANMEI_FILES?")
            os.ftruncate(self._file, offset)
            if new:
                for folder in (path.parent, path.parent.parent):
                    _sync_folder(folder)
        except BaseException:
            os.close(self._file)
            raise
        self._offset = offset

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                done = os.pwrite(self._file, view, self._offset)
                self._offset += done
                view = view[done:]
        except OSError as error:
            raise StorageError(f"{error.strerror}") from None

    def save(self) -> str:
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise StorageError(f"{error.strerror}") from None
        return "disk"

    def finish(self) -> str:
        return self.save()

    def close(self) -> None:
        os.close(self._file)


class DiskReader:
    """Reads a part of one file."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._at = start
        self._end = end

    def read(self, most: int) -> bytes:
        try:
            data = os.pread(self._file, min(most, self._end - self._at), self._at)
        except OSError as error:
            raise StorageError(f"{error.strerror}") from None
        if not data and self._at < self._end:
            raise StorageError("it is shorter than it was")
        self._at += len(data)
        return data

    def close(self) -> None:
        os.close(self._file)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
