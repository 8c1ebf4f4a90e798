// Programs whose texts differ in numbers and times alone: one that crashes and starts again, and those that tell what is.
import { talk } from "./loop-words.mjs"

/** @typedef {import("./loop-world.mjs").World} World */
/** @typedef {import("./loop-incidents.mjs").Trace} Trace */

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const night = 12
const room = "#room"

/** A time of day. @param {World} world */
const time = ({ nowMs }) => new Date(nowMs).toISOString().slice(11, 19)

/** It says when it has started, to somebody, and dies. @param {{ isAnswered: boolean }} how */
function restartsAt({ isAnswered }) {
  return (/** @type {World} */ world) => {
    world.add("@a", () => {}, { rooms: [room] })
    world.add(
      "@lead",
      ({ id, from }) => {
        if (isAnswered)
          world.say(
            "@lead",
            { to: room, text: talk(world), mentions: [from], answers: id },
            world.between(5, 15),
          )
      },
      { rooms: [room] },
    )
    let attempt = 0
    const live = () => {
      attempt += 1
      const text = `builder restarted at ${time(world)}, attempt ${attempt}, ready for work`
      world.say("@a", { to: room, text, mentions: ["@lead"] })
      world.after(world.between(25, 40), live)
    }
    live()
  }
}

/** A price feed, one message a minute. @param {World} world */
function prices(world) {
  world.add("@reader", () => {}, { rooms: [room] })
  world.add("@prices", () => {}, { rooms: [room] })
  for (let ms = 0; ms < 8 * hour; ms += minute)
    world.after(ms, () => {
      const price = (60_000 + world.below(500_000) / 100).toFixed(2)
      world.say("@prices", { to: room, text: `one bitcoin is ${price} dollars at ${time(world)}` })
    })
}

/** How far a run of the tests is, which begins again twice. @param {World} world */
function testRun(world) {
  world.add("@reader", () => {}, { rooms: [room] })
  world.add("@tests", () => {}, { rooms: [room] })
  let ms = 0
  for (let run = 1; run <= 3; run += 1) {
    world.say("@tests", { to: room, text: `run ${run} started at ${time(world)}, attempt ${run} of 3` }, ms)
    for (let n = 20; n <= 1_000; n += 20) {
      ms += world.between(10, 40)
      world.say(
        "@tests",
        { to: room, text: `run ${run}: ${n} of 1000 tests passed after ${Math.round(ms / second)} s` },
        ms,
      )
    }
  }
}

/** Somebody watches what crashes elsewhere, and calls nobody. @param {World} world */
function watchman(world) {
  world.add("@reader", () => {}, { rooms: [room] })
  world.add("@watchman", () => {}, { rooms: [room] })
  let count = 0
  for (let ms = 0; ms < 4 * hour; ms += world.between(25, 40)) {
    world.after(ms, () => {
      count += 1
      world.say("@watchman", {
        to: room,
        text: `worker ${world.below(9)} restarted at ${time(world)}, attempt ${count}`,
      })
    })
  }
}

/** @type {readonly Trace[]} */
export const restartIncidents = [
  {
    name: "crash, the time in it, by mention",
    hours: night,
    expected: ["mentions"],
    begin: restartsAt({ isAnswered: false }),
  },
  {
    name: "the same, and somebody answers",
    hours: night,
    expected: ["conversation"],
    begin: restartsAt({ isAnswered: true }),
  },
]

/** @type {readonly Trace[]} */
export const honestTellers = [
  { name: "prices, once a minute", hours: 9, begin: prices },
  { name: "how far the tests are", hours: 2, begin: testRun },
  { name: "reports restarts elsewhere", hours: 5, begin: watchman },
]
