"""A listening socket that several processes serve takes a few connections at a time."""

import select
import socket

import pytest

from handlers.listener import AT_ONCE, listeners


def take(listener: socket.socket) -> socket.socket:
    """The next connection. Whoever connects may know of it before the listener does."""
    assert select.select([listener], [], [], 30)[0]
    return listener.accept()[0]


def test_a_shared_socket_leaves_connections_to_the_others_and_comes_back_to_them():
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        (listener,) = listeners([bound.dup()], shared=True)
        with listener as shared:
            clients = [socket.create_connection(bound.getsockname()) for _ in range(AT_ONCE + 1)]
            taken = [take(shared) for _ in range(AT_ONCE)]
            with pytest.raises(BlockingIOError):
                shared.accept()
            taken.append(take(shared))
            for one in clients + taken:
                one.close()


def test_a_socket_never_waits_whatever_this_process_believes_of_it():
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        (listener,) = listeners([socket.socket(fileno=bound.dup().detach())], shared=True)
        with listener, pytest.raises(BlockingIOError):
            listener.accept()
