"""Workers: several processes that serve the same listening sockets, each a node like any other.

The parent holds the sockets, and starts, replaces, rolls and stops the processes. It opens nothing
else: no loop, no database, no Redis. A worker is a fresh program, never a fork of a running one.

Parent and worker share a socket pair. The worker writes a line when it serves; either one sees the
end of the other as the end of that stream.
"""

import contextlib
import logging
import selectors
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

READY = b"ready\n"
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds before a worker that died is replaced
STEADY = 10.0  # seconds of service after which a death counts as the first one again
START_PATIENCE = 60.0  # seconds that a worker may take until it serves
GRACE = 1.0  # seconds past its deadline that a worker which is told to end is left alone
FAILED_START = 2  # the exit status of a server that could not start


log = logging.getLogger("anmei.workers")


class Worker:
    """One process of a slot, from its start to its end."""

    def __init__(self, command: Sequence[str], slot: "Slot") -> None:
        self.slot = slot
        self.link, theirs = socket.socketpair()
        self.link.setblocking(False)
        listening = [sock.fileno() for sock in slot.sockets]
        with theirs:
            self.process = subprocess.Popen(
                [*command, "--inherit", *map(str, listening), "--parent", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[*listening, theirs.fileno()],
            )
        self.ready_at: float | None = None
        self.leaving = False
        self.deadline = time.monotonic() + START_PATIENCE  # when it is killed

    def __str__(self) -> str:
        return f"worker {self.slot.number} (pid {self.process.pid})"

    def heard(self) -> bool:
        """Reads what it says; whether there may be more to come."""
        try:
            data = self.link.recv(64)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if data == READY:
            self.ready_at, self.deadline = time.monotonic(), float("inf")
        return bool(data)

    def leave(self, within: float) -> None:
        """Asks it to drain; it is killed when it has not ended `within` seconds."""
        self.leaving = True
        self.deadline = time.monotonic() + within
        self.process.send_signal(signal.SIGTERM)

    def how_it_ended(self) -> str:
        status = self.process.returncode
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"


class Slot:
    """The place of one worker: where it listens, and who serves there now."""

    def __init__(self, number: int, sockets: Sequence[socket.socket]) -> None:
        self.number = number
        self.sockets = sockets
        self.worker: Worker | None = None
        self.deaths = 0
        self.due = 0.0  # when the next one is started, where there is none


class Workers:
    """Runs one worker for each entry of `listening`, the sockets that it serves.

    `command` starts a worker; `--inherit FD…` and `--parent FD` are added to it. `drain_timeout`
    is what a worker takes at most to end, in seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        listening: Sequence[Sequence[socket.socket]],
        drain_timeout: float,
    ) -> None:
        self._command = command
        self._slots = [Slot(number, sockets) for number, sockets in enumerate(listening, 1)]
        self._patience = drain_timeout + GRACE
        self._all: set[Worker] = set()
        self._roll: deque[Slot] = deque()
        self._successor: Worker | None = None
        self._signals: list[int] = []
        self._serving = False  # whether all were ready once
        self._stopping = False
        self._status = 0
        self._selector = selectors.DefaultSelector()

    def run(self, announce: Callable[[], None]) -> int:
        """Until all have ended; `announce` is called when all serve for the first time.

        SIGTERM and SIGINT drain, SIGHUP replaces the workers one after the other. The exit status
        is 0 when all ended in order.
        """
        with self._listening_to_signals(), self._selector:
            while not (self._stopping and not self._all):
                self._look_after()
                self._wait()
                self._heed_signals()
                self._bury()
                if not self._serving and self._all_serve():
                    self._serving = True
                    announce()
        return self._status

    # What happens

    def _wait(self) -> None:
        """Until a worker says something, a signal comes, or something is due."""
        moments = [worker.deadline for worker in self._all]
        if not self._stopping:
            moments += [slot.due for slot in self._slots if self._vacant(slot)]
        rest = min(moments, default=float("inf")) - time.monotonic()
        for key, _ in self._selector.select(min(max(rest, 0), 3600)):
            worker: Worker | None = key.data
            if worker is None:
                self._woken.recv(4096)
            elif not worker.heard():
                self._selector.unregister(worker.link)
            elif worker.ready_at is not None:
                self._arrived(worker)

    def _heed_signals(self) -> None:
        while self._signals:
            if (number := self._signals.pop(0)) == signal.SIGHUP:
                log.info("SIGHUP: the workers are replaced, one after the other")
                self._roll = deque(self._slots)
            elif not self._stopping:
                log.info("%s: the workers are drained", signal.Signals(number).name)
                self._stop(0)

    def _arrived(self, worker: Worker) -> None:
        log.info("%s serves", worker)
        if worker is self._successor:
            self._successor = None
            old, worker.slot.worker = worker.slot.worker, worker
            if old is not None:
                old.leave(self._patience)

    def _bury(self) -> None:
        """Takes note of every worker that has ended."""
        for worker in [each for each in self._all if each.process.poll() is not None]:
            self._all.discard(worker)
            worker.heard()  # its last word may still be unread
            with contextlib.suppress(KeyError):  # its stream may have ended first
                self._selector.unregister(worker.link)
            worker.link.close()
            how = worker.how_it_ended()
            if worker.leaving:
                unready = worker.ready_at is None and worker.process.returncode == -signal.SIGTERM
                in_order = worker.process.returncode == 0 or unready
                log.log(logging.INFO if in_order else logging.WARNING, "%s %s", worker, how)
                if self._stopping and not in_order:
                    self._status = self._status or 1
            elif worker is self._successor:
                log.error("%s %s before it served: the others stay as they are", worker, how)
                self._successor = None
                self._roll.clear()
            elif not self._serving and worker.ready_at is None:
                log.error("%s %s before it served: the start is given up", worker, how)
                self._stop(FAILED_START)
            else:
                self._died(worker, how)

    def _died(self, worker: Worker, how: str) -> None:
        slot = worker.slot
        now = time.monotonic()
        if worker.ready_at is not None and now - worker.ready_at > STEADY:
            slot.deaths = 0
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**slot.deaths)
        slot.worker, slot.deaths, slot.due = None, min(slot.deaths + 1, 16), now + pause
        log.warning("%s %s; another one starts in %.1f s", worker, how, pause)

    # What is done

    def _look_after(self) -> None:
        """Starts what is due, takes the next step of a roll, and kills what does not end."""
        now = time.monotonic()
        for worker in self._all:
            if worker.deadline <= now:
                log.warning("%s is killed: it had its time", worker)
                worker.process.kill()
                worker.deadline = float("inf")
        if self._stopping:
            return
        for slot in self._slots:
            if self._vacant(slot) and slot.due <= now:
                slot.worker = self._start(slot)
                if slot.worker is None:
                    slot.due = now + LONGEST_PAUSE
        someone_leaves = any(worker.leaving for worker in self._all)
        if self._roll and self._serving and not self._successor and not someone_leaves:
            self._successor = self._start(self._roll.popleft())
            if self._successor is None:
                self._roll.clear()

    def _vacant(self, slot: Slot) -> bool:
        """Whether it needs a worker, and none is on the way."""
        coming = self._successor is not None and self._successor.slot is slot
        return slot.worker is None and not coming

    def _all_serve(self) -> bool:
        return all(slot.worker and slot.worker.ready_at is not None for slot in self._slots)

    def _start(self, slot: Slot) -> Worker | None:
        try:
            worker = Worker(self._command, slot)
        except OSError as error:  # the machine has no room for another process, or file
            log.error("worker %d cannot be started: %s", slot.number, error)
            return None
        self._all.add(worker)
        self._selector.register(worker.link, selectors.EVENT_READ, worker)
        return worker

    def _stop(self, status: int) -> None:
        self._stopping, self._status = True, status
        # As long as one process holds them, the kernel takes connections that nobody serves.
        for slot in self._slots:
            for sock in slot.sockets:
                sock.close()
        for worker in self._all:
            worker.leave(self._patience)

    @contextlib.contextmanager
    def _listening_to_signals(self) -> Iterator[None]:
        """Signals and ended children wake the selector, and nothing is done inside a handler."""
        self._woken, waker = socket.socketpair()
        self._woken.setblocking(False)
        waker.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, None)

        def note(number: int, frame: FrameType | None) -> None:
            self._signals.append(number)

        ours = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, note) for number in ours}
        # Without a handler of its own a child's end would wake nobody.
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        old_fd = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._woken.close()
            waker.close()
