// The `ws` library on Node: a broadcast hands one buffer, made once, to every client.
"use strict";

const { createServer } = require("node:http");
const { WebSocket, WebSocketServer } = require("ws");

const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

function broadcast(data) {
  const message = Buffer.from(JSON.stringify({ type: "message", data }));
  for (const client of sockets.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(message, { binary: false });
  }
}

sockets.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.on("message", (text) => {
    const frame = JSON.parse(text);
    if (frame.type === "publish") broadcast(frame.data);
    else if (frame.type === "echo") {
      socket.send(JSON.stringify({ type: "reply", id: frame.id, data: frame.data }));
    }
  });
});

server.listen(Number(process.argv[2]), "127.0.0.1", 4096, () => {
  console.log(`listening at http://127.0.0.1:${server.address().port}`);
});
