// The process of two agents with keys, one of which writes to the other.
import { Agent } from "../kit/agent.mjs"
import { importBuilt } from "../kit/built.mjs"
import { answer } from "../kit/children.mjs"
import { sharedNowMs, sleep, waitUntil } from "../kit/clock.mjs"
import { quantile } from "../kit/statistics.mjs"
import { maskedFrame, openWebSocket } from "../kit/web-socket.mjs"

/** @typedef {typeof api} LettersApi */

const content = "x".repeat(100)
const patienceMs = 60_000
/** Consecutive checks, 50 ms apart, in which the mailbox must be empty. */
const clearedLooks = 60
const echoPatienceMs = 10_000

/** @type {import("../../src/identity/signer.js").KeyPair} */
let readerKeys
let port = 0
/** @type {Agent} */
let writer
/** @type {Agent} */
let reader
let readerId = ""
let written = 0
let acked = 0
/** Number of `mirrored` reports per message. @type {Map<string, number>} */
const mirrored = new Map()
let fault = ""
let onAck = () => {}
let onMirrored = () => {}

const api = {
  /** @param {{ port: number }} request */
  async open(request) {
    port = request.port
    const { generateKeyPair } = /** @type {typeof import("../../src/identity/signer.js")} */ (
      await importBuilt("identity/signer.js")
    )
    readerKeys = generateKeyPair()
    writer = await Agent.open(port, "writer", generateKeyPair(), takeNews)
    await enter(confirmEach)
    readerId = reader.id
  },
  /**
   * Writes one message at a time and waits for its `mirrored` report.
   * @param {{ count: number, pauseMs: number }} paced
   */
  async roundTrips({ count, pauseMs }) {
    /** @type {number[]} */
    const accepted = []
    /** @type {number[]} */
    const arrived = []
    for (let i = 0; i < count; i++) {
      const startMs = sharedNowMs()
      onAck = () => accepted.push(sharedNowMs() - startMs)
      await new Promise((resolve) => {
        onMirrored = () => resolve(undefined)
        write()
      })
      arrived.push(sharedNowMs() - startMs)
      await sleep(pauseMs)
    }
    onAck = onMirrored = () => {}
    await waitUntil("each acknowledgement", () => accepted.length === count)
    check()
    return { accepted: quantiles(accepted), arrived: quantiles(arrived) }
  },
  /** Writes while the reader is away. @param {{ count: number, inFlight: number }} request */
  async queue({ count, inFlight }) {
    await reader.close()
    // The last confirmations may still be in flight.
    await untilEmpty()
    mirrored.clear()
    const first = acked
    const startMs = sharedNowMs()
    let left = count
    await new Promise((resolve) => {
      onAck = () => {
        while (left > 0 && written - acked < inFlight) {
          left--
          write()
        }
        if (acked - first === count || fault !== "") resolve(undefined)
      }
      onAck()
    })
    onAck = () => {}
    check()
    return (sharedNowMs() - startMs) / 1_000
  },
  /**
   * Reconnects the reader, which takes what waits.
   * @param {{ count: number }} request
   * @returns seconds until it has everything, and until the writer knows that
   */
  async collect({ count }) {
    /** @type {Map<string, number>} */
    const heard = new Map()
    let doneMs = 0
    const startMs = sharedNowMs()
    await enter((agent, ids) => {
      agent.send({ type: "RECEIVED", ids })
      for (const id of ids) heard.set(id, (heard.get(id) ?? 0) + 1)
      if (heard.size === count) doneMs ||= sharedNowMs()
    })
    const told = () => `${heard.size} received, ${mirrored.size} mirrored of ${count}`
    try {
      await waitUntil("all mail", () => mirrored.size >= count, { timeoutMs: patienceMs, everyMs: 2 })
    } catch (error) {
      throw new Error(`${String(error)}: ${told()}`)
    }
    const knownMs = sharedNowMs()
    await untilEmpty()
    // No message may arrive a second time, now or later.
    await reader.close()
    await enter((_, ids) => ids.forEach((id) => heard.set(id, 2)))
    await sleep(300)
    const doubled = [...heard.values(), ...mirrored.values()].filter((times) => times !== 1).length
    if (heard.size !== count || mirrored.size !== count || doubled > 0)
      throw new Error(`${told()}, ${doubled} not once`)
    check()
    return { seconds: (doneMs - startMs) / 1_000, knownSeconds: (knownMs - startMs) / 1_000 }
  },
  /** Sends one frame at a time to a bare echo server. @param {{ port: number, count: number, pauseMs: number }} request */
  async echo({ port, count, pauseMs }) {
    const stream = await openWebSocket(port, "/")
    const payload = Buffer.from(JSON.stringify({ type: "MSG", id: "0000000001", to: readerId, content }))
    const latencies = []
    for (let i = 0; i < count; i++) {
      const startMs = sharedNowMs()
      await new Promise((resolve, reject) => {
        const impatience = setTimeout(() => reject(new Error("no echo")), echoPatienceMs)
        stream.scanner.onText = () => {
          clearTimeout(impatience)
          resolve(undefined)
        }
        stream.socket.write(maskedFrame(payload).bytes)
      })
      latencies.push(sharedNowMs() - startMs)
      await sleep(pauseMs)
    }
    stream.socket.destroy()
    return quantiles(latencies)
  },
}
answer(api)

/**
 * Connects the reader. It confirms all messages of one event loop turn together, as a daemon does after writing them.
 * @param {(agent: Agent, ids: string[]) => void} take
 */
async function enter(take) {
  /** @type {string[]} */
  let ids = []
  let isDue = false
  const agent = await Agent.open(port, "reader", readerKeys, (text) => {
    const id = text.startsWith('{"type":"MSG"') ? /"msg_id":"([^"]+)"/.exec(text)?.[1] : undefined
    if (id === undefined) return
    ids.push(id)
    if (isDue) return
    isDue = true
    setImmediate(() => {
      isDue = false
      take(agent, ids)
      ids = []
    })
  })
  reader = agent
}

/** @param {Agent} agent @param {string[]} ids */
function confirmEach(agent, ids) {
  agent.send({ type: "RECEIVED", ids })
}

function write() {
  writer.send({ type: "MSG", id: String(++written), to: readerId, content })
}

/** @param {string} text */
function takeNews(text) {
  const news = /** @type {import("../../src/protocol/server-messages.js").ServerMessage} */ (JSON.parse(text))
  if (news.type === "ERROR") fault ||= text
  if (news.type === "ACK") acked++
  if (news.type === "ACK" || news.type === "ERROR") onAck()
  if (news.type !== "DELIVERY" || news.state !== "mirrored") return
  mirrored.set(news.msg_id, (mirrored.get(news.msg_id) ?? 0) + 1)
  onMirrored()
}

/** Waits until the reader's mailbox is empty. */
function untilEmpty() {
  // A confirmed message is no longer pending, but a store clears it a moment later. A reader that returns before then
  // may get it again, and its daemon recognizes it.
  let looks = 0
  const isEmpty = async () => {
    const pending = await writer.ask({ type: "PENDING", target: readerId })
    looks = pending.type === "PENDING" && pending.count === 0 ? looks + 1 : 0
    return looks >= clearedLooks
  }
  return waitUntil("the mailbox to be empty", isEmpty, { everyMs: 50 })
}

function check() {
  if (fault !== "") throw new Error(fault)
}

/** @param {readonly number[]} values */
function quantiles(values) {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99) }
}
