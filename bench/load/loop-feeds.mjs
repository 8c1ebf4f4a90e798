// Feeds: programs that report events to a channel, alone, several of them, or next to talk.
import { sentence, talk } from "./loop-words.mjs"

/** @typedef {import("./loop-world.mjs").World} World */
/** @typedef {import("./loop-world.mjs").Draft} Draft */
/** @typedef {import("./loop-incidents.mjs").Trace} Trace */

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const room = "#room"
const branches = ["main", "fix/parser", "feature/tasks", "release"]

/**
 * Feeds of as many messages a minute, each at times of its own, while four now and then talk.
 * @param {{ feeds: number, perMinute: number, hours: number, kind?: Draft["kind"], talkers?: number, isSteady?: boolean }} how -
 *   isSteady: as a clock strikes
 */
function feeds({ feeds, perMinute, hours, kind, talkers = 4, isSteady = false }) {
  return (/** @type {World} */ world) => {
    const meanS = 60 / perMinute
    for (let n = 0; n < feeds; n += 1) {
      const id = world.add(`@feed-${n}`, () => {}, { rooms: [room] })
      let build = 1_000 * n
      const tell = () => {
        const took = 60 + world.below(400)
        const text = `build ${build++} of ${branches[world.below(4)]} passed in ${took} s, ${sentence(world, 4)}`
        world.say(id, { to: room, text, kind })
        const next = isSteady ? meanS * second : Math.round(-Math.log(1 - world.random()) * meanS * second)
        if (world.nowMs + next < hours * hour) world.after(next, tell)
      }
      world.after(world.between(0, meanS), tell)
    }
    for (let n = 0; n < talkers; n += 1) {
      const id = world.add(`@talker-${n}`, () => {}, { rooms: [room] })
      for (let ms = world.between(60, 1_200); ms < hours * hour; ms += world.between(900, 1_800))
        world.say(id, { to: room, text: talk(world) }, ms)
    }
  }
}

/** Six tell how far they are, each every one to five minutes, for four hours. @param {World} world */
function progressStatuses(world) {
  for (let n = 0; n < 6; n += 1) {
    const id = world.add(`@w${n}`, () => {}, { rooms: [room] })
    let step = 0
    for (let ms = world.between(0, 120); ms < 4 * hour; ms += world.between(60, 300)) {
      step += 1
      world.say(id, { to: room, text: `step ${step}: ${sentence(world, 5)}`, kind: "status" }, ms)
    }
  }
}

/** A program writes its log into a channel of 20, ten lines a second for an hour. @param {World} world */
function logFeed(world) {
  for (let n = 0; n < 20; n += 1) world.add(`@reader-${n}`, () => {}, { rooms: [room] })
  world.add("@log", () => {}, { rooms: [room] })
  let line = 0
  const write = () => {
    line += 1
    const time = new Date(world.nowMs).toISOString()
    const text = `${time} INFO worker ${world.below(8)}: request ${line} took ${world.below(400)} ms: ${sentence(world, 5)}`
    world.say("@log", { to: room, text })
    if (world.nowMs < hour) world.after(second / 10, write)
  }
  write()
}

/** 200 agents send 300 messages an hour to one channel, for three hours; a quarter of them sends half. @param {World} world */
function busyChannel(world) {
  const ids = Array.from({ length: 200 }, (_, n) => world.add(`@agent-${n}`, () => {}, { rooms: [room] }))
  const post = () => {
    const id = ids[world.below(world.below(2) === 0 ? 50 : 200)] ?? ""
    const other = ids[world.below(200)] ?? ""
    const mentions = other !== id && world.below(5) === 0 ? [other] : []
    world.say(id, { to: room, text: talk(world), mentions })
    const nextMs = Math.round(-Math.log(1 - world.random()) * 12 * second)
    if (world.nowMs + nextMs < 3 * hour) world.after(nextMs, post)
  }
  post()
}

/** @type {readonly Trace[]} */
export const honestFeeds = [
  { name: "two feeds, 5/min each", hours: 5, begin: feeds({ feeds: 2, perMinute: 5, hours: 4 }) },
  { name: "three feeds, 5/min each", hours: 5, begin: feeds({ feeds: 3, perMinute: 5, hours: 4 }) },
  {
    name: "two feeds, steady, 5/min, as status",
    hours: 5,
    begin: feeds({ feeds: 2, perMinute: 5, hours: 4, kind: "status", isSteady: true }),
  },
  {
    name: "log shipper, 60/min, next to talk",
    hours: 5,
    begin: feeds({ feeds: 1, perMinute: 60, hours: 4, talkers: 2 }),
  },
  { name: "log feed, 10/s, into a channel of 20", hours: 2, begin: logFeed },
  { name: "channel of 200, 300 messages an hour", hours: 4, begin: busyChannel },
  { name: "progress of six, as status", hours: 5, begin: progressStatuses },
]
