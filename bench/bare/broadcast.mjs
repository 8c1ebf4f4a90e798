// The least a broadcast over WebSocket costs in Node.js: what comes in at /pub is sent to all of /sub.
import { WebSocketServer } from "ws"
import { answer } from "../kit/children.mjs"

/** @typedef {typeof api} BroadcastApi */
/** @typedef {keyof typeof modes} Mode */
/** @typedef {{ ws: import("ws").WebSocket, socket: import("node:net").Socket }} Subscriber */

/** @type {Set<Subscriber>} */
const subscribers = new Set()
/** Frames that go out at the end of this turn of the event loop. @type {Buffer[]} */
let turn = []

const modes = {
  /** What most servers do: one send for each subscriber. @param {Buffer} data */
  loop: (data) => {
    for (const { ws } of subscribers) ws.send(data, { binary: false })
  },
  /** One frame of a message for all; a socket gets those of a turn in one system call. @param {Buffer} data */
  frame: (data) => {
    if (turn.length === 0) setImmediate(writeFrames)
    turn.push(textFrame(data))
  },
  /** Also one buffer of a turn for all, which only works where everybody gets the same. @param {Buffer} data */
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

/** An unmasked text frame. @param {Buffer} payload */
function textFrame(payload) {
  const size = payload.length
  const head = size < 126 ? Buffer.from([0x81, size]) : Buffer.from([0x81, 126, size >> 8, size & 0xff])
  return Buffer.concat([head, payload])
}
