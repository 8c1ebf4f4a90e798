// The cost of the guards for each message a relay accepts, compared with reading and writing it; the time it takes to
// save their state; and the memory they use for a hundred thousand agents.
import process from "node:process"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { importBuilt } from "./kit/built.mjs"
import { median, spread } from "./kit/statistics.mjs"
import { agentName, messagesAmong, settings } from "./load/sayings.mjs"

/** @typedef {import("../src/guards/guard.js").Guard} Guard */
/** @typedef {import("../src/guards/guard-message.js").GuardMessage} Said */

const rounds = 9
const goalMicroseconds = 5
const goalAmongManyMicroseconds = 30

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export async function run() {
  const relay = await loadRelay()
  const { makeGuard } = relay
  const found = settings.map((setting) => measure(setting, makeGuard(), relay.readAndWrite))
  const saved = saves(makeGuard())
  const memory = [10_000, 100_000].map((agents) => remembered(agents, makeGuard()))
  return {
    goal: `an ordinary message costs at most ${goalMicroseconds} µs, among 1,000 agents ${goalAmongManyMicroseconds} µs, one of 16 KiB at most 10 ns a byte`,
    tables: [
      {
        caption: "Processor time of the guards for a message: check, note",
        columns: ["", "µs", "ns a byte", "× reading and writing it"],
        rows: found.map(({ label, bytes, guards, times }) => [
          label,
          spread(guards, 1),
          ((median(guards) / bytes) * 1_000).toFixed(1),
          spread(times, 2),
        ]),
      },
      {
        caption: "Saving a full state of 10,000 agents, every three seconds",
        columns: ["ms", "characters"],
        rows: [[spread(saved.ms, 2), saved.characters]],
      },
      {
        caption: "Memory, MiB of heap after each agent spoke six times",
        columns: ["agents", "MiB"],
        rows: memory.map(({ agents, mebibytes }) => [agents, mebibytes.toFixed(1)]),
      },
    ],
    notes: [
      `median of ${rounds} rounds in turn (least–most); process.cpuUsage, so that other work on the machine counts less`,
      "reading and writing: parseClientMessage of the frame, formatMessage and the acknowledgement, in the same rounds",
      "limits so high that nobody is stopped or warned: everything is counted, and what is far from its limit is not looked at again",
    ],
  }
}

/**
 * @param {import("./load/sayings.mjs").Setting} setting @param {Guard} guard
 * @param {(said: Said, frame: string) => void} readAndWrite
 */
function measure(setting, guard, readAndWrite) {
  const { label, count, bytes } = setting
  const all = messagesAmong(setting, count * (rounds + 1))
  /** @type {number[]} */
  const guards = []
  /** @type {number[]} */
  const bare = []
  for (let round = 0; round <= rounds; round++) {
    const messages = all.slice(round * count, (round + 1) * count)
    const frames = messages.map(frameOf)
    const guardUs = cpuMicroseconds(() => {
      for (const said of messages) take(guard, said)
    })
    const bareUs = cpuMicroseconds(() => {
      for (const [n, said] of messages.entries()) readAndWrite(said, frames[n] ?? "")
    })
    // The first is for the compiler.
    if (round === 0) continue
    guards.push(guardUs / count)
    bare.push(bareUs / count)
  }
  return { label, bytes, guards, times: guards.map((us, round) => us / (bare[round] ?? Number.NaN)) }
}

/** @param {Guard} guard */
function saves(guard) {
  const agents = 10_000
  fill(guard, agents, 6 * agents)
  /** @type {number[]} */
  const ms = []
  let characters = 0
  for (let round = 0; round < rounds; round++) {
    fill(guard, agents, 2_000)
    const us = cpuMicroseconds(() => {
      characters = guard.save().length
    })
    ms.push(us / 1_000)
  }
  return { ms, characters }
}

/** @param {number} agents @param {Guard} guard */
function remembered(agents, guard) {
  const before = heapMebibytes()
  fill(guard, agents, 6 * agents)
  const mebibytes = heapMebibytes() - before
  // It is still needed here.
  if (guard.usage(agentName(0), 0).length > 50) throw new Error("usage is bounded")
  return { agents, mebibytes }
}

/** @param {Guard} guard @param {number} agents @param {number} count */
function fill(guard, agents, count) {
  const kinds = [
    { label: "", agents, bytes: 200, count: count / 2, isDirect: true },
    { label: "", agents, bytes: 200, count: count / 2, isDirect: false, rooms: agents / 10 },
  ]
  for (const setting of kinds) for (const said of messagesAmong(setting, setting.count)) take(guard, said)
}

/** @param {Guard} guard @param {Said} said */
function take(guard, said) {
  const trip = guard.check(said)
  if (trip !== undefined) throw new Error(`refused by ${trip.layer}: ${trip.reason}`)
  guard.note(said)
}

/** @param {Said} said */
function frameOf({ id, channel, to, text }) {
  const [other] = to
  const frame = {
    type: "MSG",
    id: id.slice(-12),
    to: channel.startsWith("#") ? channel : other,
    content: text,
  }
  return JSON.stringify(frame)
}

/** @param {() => void} act */
function cpuMicroseconds(act) {
  const before = process.cpuUsage()
  act()
  const { user, system } = process.cpuUsage(before)
  return user + system
}

/** Node gives the collector away only when asked. */
function collectGarbage() {
  setFlagsFromString("--expose-gc")
  const collect = /** @type {() => void} */ (runInNewContext("gc"))
  collect()
}

function heapMebibytes() {
  collectGarbage()
  return process.memoryUsage().heapUsed / 2 ** 20
}

async function loadRelay() {
  const { Guard } = /** @type {typeof import("../src/guards/guard.js")} */ (
    await importBuilt("guards/guard.js")
  )
  const { defaultGuardLimits } = /** @type {typeof import("../src/guards/limits.js")} */ (
    await importBuilt("guards/limits.js")
  )
  const { parseClientMessage } = /** @type {typeof import("../src/protocol/parse-message.js")} */ (
    await importBuilt("protocol/parse-message.js")
  )
  const { formatMessage, formatAck } =
    /** @type {typeof import("../src/server/delivery/message-json.js")} */ (
      await importBuilt("server/delivery/message-json.js")
    )
  const counts = /Turns|Own|OfOne|PerHour/
  const limits = /** @type {typeof defaultGuardLimits} */ (
    Object.fromEntries(
      Object.entries(defaultGuardLimits).map(([name, value]) => [name, counts.test(name) ? 1e12 : value]),
    )
  )
  let written = 0
  return {
    makeGuard: () => new Guard(limits),
    /** @type {(said: Said, frame: string) => void} */
    readAndWrite: ({ id, ts, channel }, frame) => {
      const read = parseClientMessage(frame)
      if (!("message" in read) || read.message.type !== "MSG") throw new Error(`refused: ${frame}`)
      const receipt = { ts, seq: undefined, recipients: 1, isMember: true, hops: 0 }
      const message = formatMessage('{"type":"MSG","from":"', channel, read.message, id, receipt)
      written += message.length + formatAck(read.message.id, id, receipt, false).length
      if (written === 0) throw new Error("nothing was written")
    },
  }
}
