"""Plain Tornado: a broadcast is `write_message` in a loop, as its chat demo does it."""

import asyncio
import json
import sys

import tornado.web
import tornado.websocket


class Socket(tornado.websocket.WebSocketHandler):
    everybody: "set[Socket]" = set()

    def open(self):
        self.everybody.add(self)

    def on_close(self):
        self.everybody.discard(self)

    def on_message(self, text):
        frame = json.loads(text)
        if frame["type"] == "publish":
            message = json.dumps({"type": "message", "data": frame["data"]})
            for socket in self.everybody:
                socket.write_message(message)
        elif frame["type"] == "echo":
            self.write_message(
                json.dumps({"type": "reply", "id": frame["id"], "data": frame["data"]})
            )


async def main():
    application = tornado.web.Application([("/", Socket)])
    application.listen(int(sys.argv[1]), "127.0.0.1", backlog=4096)
    print(f"listening at http://127.0.0.1:{sys.argv[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
