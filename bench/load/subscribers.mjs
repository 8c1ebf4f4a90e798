// The subscribing process: many connections that count what arrives and do as little else as possible.
import { connect } from "node:net"
import { answer } from "../kit/children.mjs"
import { sharedNowMs, sleep, waitUntil } from "../kit/clock.mjs"
import { quantile } from "../kit/statistics.mjs"
import { wires } from "./wires.mjs"

/** @typedef {typeof api} SubscribersApi */

/**
 * @typedef {object} SubscribersOptions
 * @property {keyof typeof wires} wire
 * @property {number} port
 * @property {number} count
 * @property {number} stalled - further ones that join and then never read
 * @property {number} creditPort - where the publisher waits to hear of deliveries
 */

/** @typedef {{ first: number, last: number, atMs: number }} Arrival - messages of one connection, by their order */

const patienceMs = 120_000
/** A server may wait for an answer to its close frame, which these clients never send. */
const cutMs = 10_000

/** Counted since all clients connected. */
let total = 0
/** Counted since the last reset. */
let messages = 0
let bytes = 0
let lastMs = 0
let closed = 0
let isRecording = false
/** @type {Arrival[]} */
let arrivals = []
/** @type {(() => void)[]} */
const beginnings = []
/** @type {import("node:net").Socket} */
let credit
let isCreditDue = false
/** @type {import("node:net").Socket[]} */
const stalledSockets = []

const api = {
  /** @param {SubscribersOptions} options */
  async open({ wire, port, count, stalled, creditPort }) {
    credit = connect(creditPort, "127.0.0.1").setNoDelay()
    for (let index = 0; index < count + stalled; index++) {
      const stream = await wires[wire].subscribe(port, index)
      stream.socket.once("close", () => closed++)
      if (index < count) countArrivals(stream)
      else stalledSockets.push(stream.socket.pause())
    }
    await untilQuiet()
    total = 0
    tellPublisher()
  },
  /** Resumes the stalled clients. @returns how many of them the server disconnected meanwhile */
  async wakeStalled() {
    for (const socket of stalledSockets) socket.resume()
    const cut = () => stalledSockets.filter(({ destroyed }) => destroyed).length
    const deadlineMs = performance.now() + cutMs
    while (cut() < stalledSockets.length && performance.now() < deadlineMs) await sleep(100)
    return cut()
  },
  /** Resets the counts. @param {{ isRecording: boolean }} request */
  reset(request) {
    messages = bytes = 0
    arrivals = []
    isRecording = request.isRecording
    for (const begin of beginnings) begin()
  },
  /**
   * Waits until `count` messages have arrived since the reset.
   * @param {{ total: number, notices: number }} request - `notices` more may come of those who are cut off
   */
  async arrived({ total, notices }) {
    await waitUntil(`${total} deliveries`, () => messages >= total || closed > 0, { timeoutMs: patienceMs })
    if (messages < total || messages > total + notices)
      throw new Error(`${messages} deliveries instead of ${total}, ${closed} cut off`)
    return { bytes, lastMs }
  },
  /** Returns milliseconds from sending to arrival, over all deliveries. @param {{ sentAtMs: number[], burst: number }} request */
  latencies({ sentAtMs, burst }) {
    /** @type {number[]} */
    const latencies = []
    for (const { first, last, atMs } of arrivals) {
      for (let i = first; i < last; i++) latencies.push(atMs - (sentAtMs[Math.floor(i / burst)] ?? 0))
    }
    return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }
  },
}
answer(api)

/** @param {import("./wires.mjs").Stream & { scanner: import("./wires.mjs").Scanner }} stream */
function countArrivals(stream) {
  const { onBytes, scanner } = stream
  let seen = scanner.messages
  let start = seen
  beginnings.push(() => {
    start = seen = scanner.messages
  })
  stream.onBytes = (chunk, length) => {
    onBytes(chunk, length)
    bytes += length
    if (scanner.messages === seen) return
    messages += scanner.messages - seen
    total += scanner.messages - seen
    lastMs = sharedNowMs()
    if (isRecording) arrivals.push({ first: seen - start, last: scanner.messages - start, atMs: lastMs })
    seen = scanner.messages
    tellPublisher()
  }
}

/** Join notices of a relay are not deliveries, and may arrive a little late. */
async function untilQuiet() {
  for (let seen = -1; seen !== messages; ) {
    seen = messages
    await sleep(300)
  }
}

/** Runs once for all sockets read in this event loop turn. */
function tellPublisher() {
  if (isCreditDue) return
  isCreditDue = true
  setImmediate(() => {
    isCreditDue = false
    const count = Buffer.allocUnsafe(8)
    count.writeDoubleLE(total)
    credit.write(count)
  })
}
