// Loops whose agents do not take turns one message at a time: they answer in bursts, or all at once.
import { talk } from "./loop-words.mjs"

/** @typedef {import("./loop-world.mjs").World} World */
/** @typedef {import("./loop-world.mjs").Heard} Heard */
/** @typedef {import("./loop-incidents.mjs").Trace} Trace */

const room = "#room"
const night = 12
const names = ["@a", "@b", "@c", "@d", "@e", "@f"]
const pollMs = 100

/**
 * Agents that think when they have heard something, then write so many messages one after another, whatever they heard.
 * @param {{ size: number, leastS: number, mostS: number, kind?: "status", agents?: number }} how
 */
function bursts({ size, leastS, mostS, kind, agents = 2 }) {
  return (/** @type {World} */ world) => {
    const ids = names.slice(0, agents)
    for (const id of ids) {
      let isBusy = false
      let unread = 0
      const turn = () => {
        isBusy = true
        let ms = world.between(leastS, mostS)
        world.after(ms, () => {
          unread = 0
        })
        for (let n = 0; n < size; n += 1) {
          world.say(id, { to: room, text: talk(world), kind }, ms)
          ms += world.between(0.5, 2)
        }
        world.after(ms, () => {
          isBusy = false
          if (unread > 0) turn()
        })
      }
      world.add(
        id,
        ({ from }) => {
          if (!ids.includes(from)) return
          unread += 1
          if (!isBusy) turn()
        },
        { rooms: [room] },
      )
    }
    for (let n = 0; n < size; n += 1) world.say("@a", { to: room, text: talk(world), kind }, n * 500)
    bystander(world)
  }
}

/**
 * Shells that look into their inbox ten times a second and answer each line in it, as fast as the relay lets them.
 * @param {{ agents: number, perSecond: number, lines: number }} how - lines: said in the beginning, by the first
 */
function pipelined({ agents, perSecond, lines }) {
  return (/** @type {World} */ world) => {
    const ids = names.slice(0, agents)
    for (const id of ids) {
      let unread = 0
      let freeAtMs = 0
      const poll = () => {
        for (; unread > 0; unread -= 1) {
          freeAtMs = Math.max(freeAtMs, world.nowMs) + 1_000 / perSecond
          world.say(id, { to: room, text: talk(world) }, freeAtMs - world.nowMs)
        }
      }
      let isDue = false
      world.add(
        id,
        ({ from }) => {
          if (!ids.includes(from)) return
          unread += 1
          if (isDue) return
          isDue = true
          world.after(world.between(0, pollMs / 1_000), () => {
            isDue = false
            poll()
          })
        },
        { rooms: [room] },
      )
    }
    for (let n = 0; n < lines; n += 1)
      world.say("@a", { to: room, text: talk(world) }, (n * 1_000) / perSecond)
    bystander(world)
  }
}

/** Somebody in the same room who has nothing to do with it. @param {World} world */
function bystander(world) {
  const id = world.add("@bystander", () => {}, { rooms: [room], isBystander: true })
  for (let n = 1; n <= 12; n += 1) world.say(id, { to: room, text: talk(world) }, n * 600_000)
}

/** @type {readonly Trace[]} */
export const burstIncidents = [
  ...[2, 3, 5, 10].map((size) => ({
    name: `ping-pong in a room, bursts of ${size}`,
    hours: night,
    expected: ["conversation"],
    begin: bursts({ size, leastS: 2, mostS: 5 }),
  })),
  {
    name: "bursts of 3, 10-30 s apart",
    hours: night,
    expected: ["conversation"],
    begin: bursts({ size: 3, leastS: 10, mostS: 30 }),
  },
  {
    name: "four in bursts of 3",
    hours: night,
    expected: ["conversation"],
    begin: bursts({ size: 3, leastS: 5, mostS: 15, agents: 4 }),
  },
  ...[2, 4].flatMap((agents) =>
    [10, 100].map((perSecond) => ({
      name: `pipelined, ${agents} shells, ${perSecond}/s`,
      hours: night,
      expected: ["conversation"],
      begin: pipelined({ agents, perSecond, lines: 5 }),
    })),
  ),
  {
    name: "unaddressed statuses",
    hours: night,
    expected: ["conversation"],
    begin: bursts({ size: 1, leastS: 2, mostS: 5, kind: "status" }),
  },
  {
    name: "unaddressed statuses, bursts of 3",
    hours: night,
    expected: ["conversation"],
    begin: bursts({ size: 3, leastS: 2, mostS: 5, kind: "status" }),
  },
]
