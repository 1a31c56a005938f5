"""Stands before a node and spoils what it says to one WebSocket: `liar.py PORT lose|double|swap`.

Of the messages that pass, the thirtieth is left out, passed on twice, or passed on behind the next
one of its conversation.
"""

import asyncio
import contextlib
import itertools
import json
import sys

from loadtest import wire

PORT, FAULT = int(sys.argv[1]), sys.argv[2]
FAULTY_MESSAGE = 30
messages = itertools.count(1)


async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answers, node = await asyncio.open_connection("127.0.0.1", PORT)
    await asyncio.gather(raw(reader, node), spoilt(answers, writer))


async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def spoilt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        if head.startswith(b"HTTP/1.1 101"):
            await spoil(reader, writer)
    await raw(reader, writer)


async def spoil(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    data, held = b"", {}
    while piece := await reader.read(65_536):
        data += piece
        while (found := wire.next_frame(data)) is not None:
            payload, end = found
            frame, data = data[:end], data[end:]
            if b'"type":"new_message"' not in payload:
                writer.write(frame)
                continue
            room = json.loads(payload)["data"]["conversation_id"]
            faulty = next(messages) == FAULTY_MESSAGE
            if faulty and FAULT == "swap":
                held[room] = frame
                continue
            if not (faulty and FAULT == "lose"):
                writer.write(frame + held.pop(room, b""))
            if faulty and FAULT == "double":
                writer.write(frame)


async def main() -> None:
    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    print(f"listening at {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())
