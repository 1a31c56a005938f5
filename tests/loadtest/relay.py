"""A server for the tests of the load client: it relays what is published, badly if asked to.

`relay.py PORT [lose|double|swap|stall]` does so to the second device, with the thirtieth message:
lose leaves it out, double sends it twice, swap sends it behind the next one. stall does nothing for
300 ms then, for nobody.
"""

import asyncio
import json
import sys
import time

import tornado.web
import tornado.websocket

FAULT = sys.argv[2] if len(sys.argv) > 2 else ""
FAULTY_MESSAGE = 30


class Socket(tornado.websocket.WebSocketHandler):
    devices: "list[Socket]" = []
    messages = 0

    def open(self):
        self.devices.append(self)
        self.held = []

    def on_message(self, text):
        Socket.messages += 1
        if FAULT == "stall" and Socket.messages == FAULTY_MESSAGE:
            time.sleep(0.3)
        message = json.dumps({"type": "message", "data": json.loads(text)["data"]})
        for device in self.devices:
            faulty = device is self.devices[1] and Socket.messages == FAULTY_MESSAGE
            if faulty and FAULT == "swap":
                device.held = [message]
            elif not (faulty and FAULT == "lose"):
                device.write_message(message)
                for late in device.held:
                    device.write_message(late)
                device.held = []
            if faulty and FAULT == "double":
                device.write_message(message)


async def main():
    application = tornado.web.Application([("/", Socket)])
    application.listen(int(sys.argv[1]), "127.0.0.1")
    print(f"listening at {sys.argv[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
