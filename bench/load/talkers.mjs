// The process of agents that send to a channel and of agents that receive. All receivers count, and two at each relay
// check that every message arrives once and in order: a figure of a relay that loses messages would mean nothing.
import { Agent } from "../kit/agent.mjs"
import { importBuilt } from "../kit/built.mjs"
import { answer } from "../kit/children.mjs"
import { sharedNowMs, sleep, waitUntil } from "../kit/clock.mjs"
import { quantile } from "../kit/statistics.mjs"

/** @typedef {typeof api} TalkersApi */

/**
 * @typedef {object} TalkersOptions
 * @property {readonly number[]} ports - of the relays, over which both kinds are spread in turn
 * @property {number} senders
 * @property {number} members
 * @property {boolean} isDurable
 */

/** @typedef {{ agent: Agent, port: number, sent: number, acked: number }} Sender */
/** @typedef {{ port: number, agent: Agent, heard: number }} Member */
/** @typedef {{ p50: number, p99: number }} Latency - in milliseconds */

const channel = "#bench"
const readersEach = 2
const quietMs = 300
const content = "x".repeat(100)
const patienceMs = 30_000
const form = /"msg_id":"([^".]+)\.(\d+)"/

/** @type {Sender[]} */
const senders = []
/** @type {Member[]} */
const members = []
let fault = ""
let textBytes = 0
/** Called on each acknowledgement or message. */
let onProgress = () => {}
/** Called with each member that received a message. @type {(member: Member) => void} */
let onHeard = () => {}

const api = {
  /** @param {TalkersOptions} options */
  async open({ ports, isDurable, ...counts }) {
    const { generateKeyPair } = /** @type {typeof import("../../src/identity/signer.js")} */ (
      await importBuilt("identity/signer.js")
    )
    const portOf = (/** @type {number} */ index) => ports[index % ports.length] ?? 0
    for (let index = 0; index < counts.members; index++) {
      const port = portOf(index)
      // Only an agent with a key makes a durable channel.
      const agent = await Agent.open(port, `member-${index}`, index === 0 ? generateKeyPair() : undefined)
      if (index === 0) await agent.ask({ type: "CREATE_CHANNEL", channel, durable: isDurable })
      else await join(agent)
      members.push({ port, agent, heard: 0 })
    }
    for (let index = 0; index < counts.senders; index++) {
      const agent = await Agent.open(portOf(index), `sender-${index}`)
      const sender = { agent, port: portOf(index), sent: 0, acked: 0 }
      agent.onNews = (text) => takeAck(sender, text)
      senders.push(sender)
    }
    await untilQuiet()
    for (const [index, member] of members.entries()) {
      if (index < readersEach * ports.length) readAll(member)
      else countAll(member)
    }
  },
  /** Sends as fast as the relays accept. @param {{ ms: number, inFlight: number }} bounds - of all senders together */
  async flood({ ms, inFlight }) {
    const before = sum(senders.map(({ sent }) => sent))
    const startMs = sharedNowMs()
    const share = Math.ceil(inFlight / senders.length)
    await settled(() => {
      if (sharedNowMs() - startMs >= ms) return
      for (const sender of senders) while (sender.sent - sender.acked < share) say(sender)
    })
    const count = sum(senders.map(({ sent }) => sent)) - before
    return { perSecond: count / ((sharedNowMs() - startMs) / 1_000), count, textBytes }
  },
  /**
   * Sends one message at a time.
   * @param {{ count: number, pauseMs: number }} paced
   * @returns the time to members at the sender's relay and to those at another
   */
  async latency({ count, pauseMs }) {
    /** @type {number[]} */
    const near = []
    /** @type {number[]} */
    const far = []
    for (let i = 0; i < count; i++) {
      const sender = senders[i % senders.length]
      if (sender === undefined) break
      const startMs = sharedNowMs()
      onHeard = ({ port }) => (port === sender.port ? near : far).push(sharedNowMs() - startMs)
      say(sender)
      await settled(() => {})
      await sleep(pauseMs)
    }
    onHeard = () => {}
    return { near: toLatency(near), far: far.length === 0 ? undefined : toLatency(far) }
  },
}
answer(api)

/** A relay learns a little later about a channel that another relay created. @param {Agent} agent */
async function join(agent) {
  await waitUntil("the channel to be known", async () => {
    try {
      await agent.ask({ type: "JOIN", channel })
      return true
    } catch (error) {
      if (String(error).includes("CHANNEL_NOT_FOUND")) return false
      throw error
    }
  })
}

/** @param {Sender} sender */
function say(sender) {
  sender.agent.send({ type: "MSG", id: String(++sender.sent), to: channel, content })
}

/** @param {Sender} sender @param {string} text */
function takeAck(sender, text) {
  if (text.startsWith('{"type":"ACK"')) sender.acked++
  else if (text.startsWith('{"type":"ERROR"')) fault ||= text
  onProgress()
}

/** Join notices may arrive a little late. */
async function untilQuiet() {
  const texts = () => sum(members.map(({ agent }) => agent.stream.scanner.messages))
  for (let seen = -1; seen !== texts(); ) {
    seen = texts()
    await sleep(quietMs)
  }
}

/** @param {Member} member */
function readAll(member) {
  /** The newest number of each author. @type {Map<string, number>} */
  const newest = new Map()
  member.agent.onNews = (text) => {
    if (!text.startsWith('{"type":"MSG"')) return
    const [, author = "", number = ""] = form.exec(text) ?? []
    const last = newest.get(author) ?? 0
    if (Number(number) !== last + 1) fault ||= `message ${number} came after ${last}`
    newest.set(author, Number(number))
    textBytes = text.length
    member.heard++
    onHeard(member)
    onProgress()
  }
}

/** From here on a member receives only messages. @param {Member} member */
function countAll(member) {
  const { stream } = member.agent
  const { onBytes, scanner } = stream
  const before = scanner.messages
  scanner.onText = undefined
  stream.onBytes = (chunk, length) => {
    onBytes(chunk, length)
    if (scanner.messages - before === member.heard) return
    member.heard = scanner.messages - before
    onHeard(member)
    onProgress()
  }
}

/**
 * Calls `act` on each arrival, until every sent message is acknowledged and received.
 * @param {() => void} act
 */
async function settled(act) {
  const sent = () => sum(senders.map((sender) => sender.sent))
  let isLate = false
  const impatience = setTimeout(() => {
    isLate = true
    onProgress()
  }, patienceMs)
  try {
    await /** @type {Promise<void>} */ (
      new Promise((resolve, reject) => {
        let isDue = false
        const look = () => {
          isDue = false
          if (fault !== "") reject(new Error(fault))
          act()
          const isDone =
            senders.every((sender) => sender.acked === sender.sent) &&
            members.every(({ heard }) => heard === sent())
          if (isDone) resolve()
          else if (isLate) reject(new Error(`after ${patienceMs / 1_000} s ${tell()}`))
        }
        // Runs once for all sockets read in this event loop turn.
        onProgress = () => {
          if (!isDue) setImmediate(look)
          isDue = true
        }
        onProgress()
      })
    )
  } finally {
    clearTimeout(impatience)
    onProgress = () => {}
  }
}

function tell() {
  const told = senders.map(({ sent, acked }) => `${acked} of ${sent} acknowledged`)
  return `${told.join(", ")}; heard: ${members.map(({ heard }) => heard).join(", ")}`
}

/** @param {readonly number[]} latencies @returns {Latency} */
function toLatency(latencies) {
  return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }
}

/** @param {readonly number[]} values */
function sum(values) {
  return values.reduce((total, value) => total + value, 0)
}
