// One server with its publisher and its subscribers, in three processes.
import { startHelper } from "../kit/children.mjs"
import { startNats } from "../kit/nats-server.mjs"
import { startRelay } from "../kit/relay.mjs"

/** @typedef {import("../kit/children.mjs").Defer} Defer */
/** @typedef {import("../bare/broadcast.mjs").BroadcastApi} BroadcastApi */
/** @typedef {import("./publisher.mjs").PublisherApi} PublisherApi */
/** @typedef {import("./subscribers.mjs").SubscribersApi} SubscribersApi */

/** @typedef {import("../bare/broadcast.mjs").Mode} BareMode */
/** @typedef {BareMode | "agentchat" | "nats"} System */

/**
 * @typedef {object} ArenaOptions
 * @property {System} system
 * @property {number} subscribers
 * @property {number} [stalled] - further subscribers that never read
 * @property {number} [publishers] - connections of the publishing process
 * @property {number} [batch] - messages the publisher writes at once; each by itself, as a client does, when absent
 * @property {number} contentBytes
 */

/** @typedef {Awaited<ReturnType<typeof openArena>>} Arena */

/** Messages in flight: enough to keep every process busy, and within the limits of every server. */
const windowDeliveries = 200_000
const windowMessages = { most: 4_096, least: 256 }
const windowBytes = 2 * 2 ** 20

/** @param {ArenaOptions} options @param {Defer} defer */
export async function openArena({ system, subscribers, contentBytes, ...options }, defer) {
  const { stalled = 0, publishers = 1, batch = 1 } = options
  const { pid, port } = await startServer(system, defer)
  /** @type {import("../kit/children.mjs").Helper<PublisherApi>} */
  const publisher = startHelper(new URL("publisher.mjs", import.meta.url), defer)
  /** @type {import("../kit/children.mjs").Helper<SubscribersApi>} */
  const receivers = startHelper(new URL("subscribers.mjs", import.meta.url), defer)
  const server = { wire: wireOf(system), port }
  const flow = { connections: publishers, contentBytes, subscribers, batch }
  const creditPort = await publisher.ask("open", { ...server, ...flow })
  await receivers.ask("open", { ...server, count: subscribers, stalled, creditPort })
  return { pid, publisher, receivers, subscribers, stalled, window: windowOf(subscribers, contentBytes) }
}

/** @param {number} subscribers @param {number} contentBytes */
function windowOf(subscribers, contentBytes) {
  const { least, most } = windowMessages
  const fair = Math.max(least, windowDeliveries / subscribers)
  return Math.floor(Math.min(most, fair, windowBytes / contentBytes))
}

/**
 * Publishes as fast as the server accepts messages.
 * @param {Arena} arena
 * @param {{ ms: number, messages?: number }} bounds
 */
export async function flood({ publisher, receivers, subscribers, stalled, window }, bounds) {
  await receivers.ask("reset", { isRecording: false })
  const { sent, startMs } = await publisher.ask("flood", { ...bounds, window })
  const total = sent * subscribers
  const { bytes, lastMs } = await receivers.ask("arrived", { total, notices: stalled })
  const seconds = (lastMs - startMs) / 1_000
  return { perSecond: total / seconds, bytesEach: bytes / total, seconds }
}

/**
 * Publishes bursts, one at a time.
 * @param {Arena} arena
 * @param {{ bursts: number, burst: number }} paced
 * @returns milliseconds from sending to each delivery
 */
export async function measureLatency({ publisher, receivers, subscribers, stalled }, paced) {
  await receivers.ask("reset", { isRecording: true })
  const sentAtMs = await publisher.ask("paced", paced)
  await receivers.ask("arrived", { total: paced.bursts * paced.burst * subscribers, notices: stalled })
  return receivers.ask("latencies", { sentAtMs, burst: paced.burst })
}

/** @param {System} system @returns {keyof typeof import("./wires.mjs").wires} */
function wireOf(system) {
  return system === "agentchat" || system === "nats" ? system : "bare"
}

/** @param {System} system @param {Defer} defer */
async function startServer(system, defer) {
  if (system === "agentchat") return startRelay(defer)
  if (system === "nats") return startNats(defer)
  /** @type {import("../kit/children.mjs").Helper<BroadcastApi>} */
  const server = startHelper(new URL("../bare/broadcast.mjs", import.meta.url), defer)
  return { pid: server.pid, port: await server.ask("open", { mode: system }) }
}
