// Socket.IO on Node: one room, everything published goes to all of it.
// WebSocket transport only and no compression, which is its fastest ordinary configuration.
"use strict";

const { createServer } = require("node:http");
const { Server } = require("socket.io");

const server = createServer();
const io = new Server(server, {
  transports: ["websocket"],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
  pingInterval: 30000,
  pingTimeout: 30000,
});

io.on("connection", (socket) => {
  socket.join("room");
  socket.on("publish", (data) => io.to("room").emit("message", data));
  socket.on("echo", (data, reply) => reply(data));
});

server.listen(Number(process.argv[2]), "127.0.0.1", 4096, () => {
  console.log(`listening at http://127.0.0.1:${server.address().port}`);
});
