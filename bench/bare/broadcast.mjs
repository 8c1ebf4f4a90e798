// Baseline: the cheapest WebSocket broadcast in Node.js. Messages received at /pub go to all clients of /sub.
import { WebSocketServer } from "ws"
import { answer } from "../kit/children.mjs"

/** @typedef {typeof api} BroadcastApi */
/** @typedef {keyof typeof modes} Mode */
/** @typedef {{ ws: import("ws").WebSocket, socket: import("node:net").Socket }} Subscriber */

/** @type {Set<Subscriber>} */
const subscribers = new Set()
/** Frames to send at the end of this event loop turn. @type {Buffer[]} */
let turn = []

const modes = {
  /** Calls send once per subscriber, as most servers do. @param {Buffer} data */
  loop: (data) => {
    for (const { ws } of subscribers) ws.send(data, { binary: false })
  },
  /** Shares one frame among all subscribers; a socket gets all frames of a turn in one system call. @param {Buffer} data */
  frame: (data) => {
    if (turn.length === 0) setImmediate(writeFrames)
    turn.push(textFrame(data))
  },
  /** Shares one buffer per turn among all subscribers, which works only if all of them get the same messages. @param {Buffer} data */
  turn: (data) => {
    if (turn.length === 0) setImmediate(writeTurn)
    turn.push(textFrame(data))
  },
}

const api = {
  /** @param {{ mode: Mode }} request @returns {Promise<number>} the port */
  open({ mode }) {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false })
    server.on("connection", (ws, { url, socket }) => {
      ws.on("error", () => ws.terminate())
      if (url === "/pub") ws.on("message", modes[mode])
      else subscribers.add({ ws, socket })
    })
    return new Promise((resolve) => {
      server.on("listening", () =>
        resolve(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
      )
    })
  },
}
answer(api)

function writeFrames() {
  for (const { socket } of subscribers) {
    socket.cork()
    for (const frame of turn) socket.write(frame)
    socket.uncork()
  }
  turn = []
}

function writeTurn() {
  const bytes = Buffer.concat(turn)
  for (const { socket } of subscribers) socket.write(bytes)
  turn = []
}

/** Builds an unmasked text frame. @param {Buffer} payload */
function textFrame(payload) {
  const size = payload.length
  const head = size < 126 ? Buffer.from([0x81, size]) : Buffer.from([0x81, 126, size >> 8, size & 0xff])
  return Buffer.concat([head, payload])
}
