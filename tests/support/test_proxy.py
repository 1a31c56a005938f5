import asyncio
import socket

import psycopg2
import pytest


class Echo:
    """A server that says back what it hears, and counts."""

    async def start(self) -> int:
        self.heard = b""
        self.pieces = 0
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer) -> None:
        try:
            while piece := await reader.read(1000):
                self.heard += piece
                self.pieces += 1
                writer.write(piece)
        except ConnectionError:
            pass
        writer.close()

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
def echo(io_loop):
    server = Echo()
    server.port = io_loop.run_sync(server.start)
    yield server
    io_loop.run_sync(server.stop)


async def ask(reader, writer, words: bytes) -> bytes:
    writer.write(words)
    async with asyncio.timeout(30):
        return await reader.readexactly(len(words))


async def test_it_hands_on_what_comes(echo, proxy):
    middle = proxy(echo.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", middle.port)
    assert await ask(reader, writer, b"hello") == b"hello"
    assert middle.passed == {"up": 5, "down": 5}
    writer.close()
    assert await reader.read() == b""


async def test_paused_it_holds_everything_back_and_then_loses_nothing(echo, proxy):
    middle = proxy(echo.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", middle.port)
    await ask(reader, writer, b"1")
    middle.pause("down")
    asking = asyncio.ensure_future(ask(reader, writer, b"2"))
    async with asyncio.timeout(30):
        while echo.heard != b"12":  # noqa: ASYNC110 - the proxy's thread hands it on
            await asyncio.sleep(0.01)
    await asyncio.wait([asking], timeout=0.2)
    assert not asking.done()
    middle.resume()
    assert await asking == b"2"
    writer.close()


async def test_a_cut_breaks_the_connection_and_leaves_the_door_open(echo, proxy):
    middle = proxy(echo.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", middle.port)
    await ask(reader, writer, b"1")
    middle.cut()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", middle.port)
    assert await ask(reader, writer, b"2") == b"2"
    writer.close()


async def test_refusing_it_takes_no_connection_until_it_accepts_again(echo, proxy):
    middle = proxy(echo.port)
    middle.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", middle.port)
    middle.accept()
    reader, writer = await asyncio.open_connection("127.0.0.1", middle.port)
    assert await ask(reader, writer, b"back") == b"back"
    writer.close()


async def test_bytes_one_at_a_time_arrive_as_many_pieces_in_order(echo, proxy):
    middle = proxy(echo.port)
    middle.dribble["up"] = True
    reader, writer = await asyncio.open_connection("127.0.0.1", middle.port)
    words, asked = bytes(range(200)), 0
    # Whoever is kept from reading for a moment finds several in one piece, even all.
    while echo.pieces <= asked:
        asked += 1
        assert await ask(reader, writer, words) == words
    writer.close()


async def test_a_delay_holds_each_piece_back(echo, proxy):
    middle = proxy(echo.port)
    middle.delay["up"] = 0.2
    reader, writer = await asyncio.open_connection("127.0.0.1", middle.port)
    began = asyncio.get_running_loop().time()
    await ask(reader, writer, b"slow")
    assert asyncio.get_running_loop().time() - began >= 0.2
    writer.close()


def test_a_commit_can_be_done_and_its_answer_lost(postgres, postgres_url, proxy):
    middle = proxy(postgres.socket)
    url = postgres_url.replace(str(postgres.directory), str(middle.socket.parent))
    connection = psycopg2.connect(url)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE kept (id int)")
    connection.commit()
    cursor.execute("INSERT INTO kept VALUES (7)")
    sprung = middle.cut_after(b"COMMIT")
    with pytest.raises(psycopg2.OperationalError):
        connection.commit()
    sprung.result(timeout=30)
    connection.close()
    assert rows(postgres_url) == [(7,)]


def test_a_commit_can_be_lost_before_it_arrives(postgres, postgres_url, proxy):
    middle = proxy(postgres.socket)
    url = postgres_url.replace(str(postgres.directory), str(middle.socket.parent))
    connection = psycopg2.connect(url)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE kept (id int)")
    connection.commit()
    cursor.execute("INSERT INTO kept VALUES (7)")
    sprung = middle.cut_before(b"COMMIT")
    with pytest.raises(psycopg2.OperationalError):
        connection.commit()
    sprung.result(timeout=30)
    connection.close()
    assert rows(postgres_url) == []


def test_a_closed_proxy_leaves_neither_its_thread_nor_its_port(proxy):
    middle = proxy(1)
    middle.close()
    assert not middle._thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", middle.port))


def rows(url: str) -> list[tuple]:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM kept")
        found = cursor.fetchall()
    connection.close()
    return found
