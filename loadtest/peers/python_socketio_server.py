"""python-socketio on uvicorn: one room, everything published goes to all of it.

WebSocket transport only, no compression, uvloop and httptools: its fastest ordinary configuration.
"""

import sys

import socketio
import uvicorn

sio = socketio.AsyncServer(
    async_mode="asgi",
    transports=["websocket"],
    http_compression=False,
    ping_interval=30,
    ping_timeout=30,
)


@sio.event
async def connect(sid, environ):
    await sio.enter_room(sid, "room")


@sio.event
async def publish(sid, data):
    await sio.emit("message", data, room="room")


@sio.event
async def echo(sid, data):
    return data


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(f"listening at http://127.0.0.1:{self.config.port}", flush=True)


Server(
    uvicorn.Config(
        socketio.ASGIApp(sio),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        # Socket.IO has a heartbeat of its own; two would be paid for by one peer alone.
        ws_ping_interval=None,
        backlog=4096,
        log_level="warning",
        access_log=False,
    )
).run()
