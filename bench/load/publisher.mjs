// The publishing process. At most one window of messages is in flight that some subscriber has not seen, so every
// server runs at its full speed and none has to queue without limit.
import { createServer } from "node:net"
import { answer } from "../kit/children.mjs"
import { sharedNowMs, sleep } from "../kit/clock.mjs"
import { wires } from "./wires.mjs"

/** @typedef {typeof api} PublisherApi */

/**
 * @typedef {object} PublisherOptions
 * @property {keyof typeof wires} wire
 * @property {number} port
 * @property {number} connections
 * @property {number} contentBytes
 * @property {number} batch - messages in one write
 * @property {number} subscribers - how many deliveries one message makes
 */

const serialDigits = 10

/** @type {import("./wires.mjs").Template} */
let template
/** @type {import("node:net").Socket[]} */
const sockets = []
let subscribers = 0
let batch = 1
let sent = 0
let delivered = 0
/** Called when there may be room in the window. */
let onRoom = () => {}

const api = {
  /** @param {PublisherOptions} options @returns {Promise<number>} the port to tell deliveries to */
  async open({ wire, port, connections, contentBytes, ...options }) {
    subscribers = options.subscribers
    batch = options.batch
    template = wires[wire].template(contentBytes, "0".repeat(serialDigits))
    for (let index = 0; index < connections; index++) {
      const { socket } = await wires[wire].publish(port, index)
      socket.on("drain", () => onRoom())
      sockets.push(socket)
    }
    return listenForDeliveries()
  },
  /** Publishes until the time is over or the count is reached. @param {{ ms: number, messages?: number, window: number }} flood */
  async flood({ ms, messages = Number.POSITIVE_INFINITY, window }) {
    const first = sent
    const startMs = sharedNowMs()
    const left = () => (sharedNowMs() - startMs < ms ? messages - (sent - first) : 0)
    await new Promise((resolve) => {
      onRoom = () => {
        fillWindow(window, left)
        if (left() <= 0) resolve(undefined)
      }
      onRoom()
    })
    onRoom = () => {}
    return { sent: sent - first, startMs }
  },
  /**
   * Publishes bursts, each after the previous one has reached all subscribers.
   * @param {{ bursts: number, burst: number }} paced
   * @returns {Promise<number[]>} when each burst was sent
   */
  async paced({ bursts, burst }) {
    const sentAtMs = []
    for (let i = 0; i < bursts; i++) {
      sentAtMs.push(sharedNowMs())
      const share = Math.ceil(burst / sockets.length)
      for (const [index, socket] of sockets.entries()) {
        for (let left = Math.min(share, burst - index * share); left > 0; left -= batch) {
          send(socket, Math.min(batch, left))
        }
      }
      await new Promise((resolve) => {
        onRoom = () => {
          if (underWay() === 0) resolve(undefined)
        }
      })
      await sleep(3)
    }
    return sentAtMs
  },
}
answer(api)

/** @param {number} window @param {() => number} left */
function fillWindow(window, left) {
  // Continuing for a few messages at a time would measure system calls.
  if (underWay() > window * 0.75) return
  for (;;) {
    const count = Math.min(batch, window - underWay(), left())
    const socket = sockets.find(({ writableNeedDrain }) => !writableNeedDrain)
    if (count <= 0 || socket === undefined) return
    send(socket, count)
    sockets.push(...sockets.splice(sockets.indexOf(socket), 1))
  }
}

function underWay() {
  return sent - Math.floor(delivered / subscribers)
}

/** Writes `count` messages in one call, each with its own serial number. @param {import("node:net").Socket} socket @param {number} count */
function send(socket, count) {
  const { bytes, digitsAt, mask } = template
  const written = Buffer.allocUnsafe(count * bytes.length)
  for (let i = 0; i < count; i++) {
    const at = i * bytes.length
    bytes.copy(written, at)
    for (let digit = serialDigits - 1, rest = ++sent; rest > 0; digit--, rest = Math.floor(rest / 10)) {
      written[at + digitsAt + digit] = (0x30 + (rest % 10)) ^ (mask[digit % 4] ?? 0)
    }
  }
  socket.write(written)
}

/** @returns {Promise<number>} */
function listenForDeliveries() {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy())
    socket.on("data", (chunk) => {
      // The server writes eight bytes at a time over loopback, so they arrive whole.
      delivered = chunk.readDoubleLE(chunk.length - 8)
      onRoom()
    })
  })
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve(/** @type {import("node:net").AddressInfo} */ (server.address()).port)
    })
  })
}
