// Recorded incidents: loops of agents that go on all night unless something stops them.
import { burstIncidents } from "./loop-bursts.mjs"
import { dealIncidents } from "./loop-deals.mjs"
import { restartIncidents } from "./loop-restarts.mjs"
import { courtesy, sentence, silence, talk } from "./loop-words.mjs"

/** @typedef {import("./loop-world.mjs").World} World */
/** @typedef {import("./loop-world.mjs").Draft} Draft */
/** @typedef {import("./loop-world.mjs").Heard} Heard */

/**
 * @typedef {object} Trace
 * @property {string} name
 * @property {number} hours - how long it is watched
 * @property {(world: World) => void} begin
 * @property {readonly string[]} [expected] - layers one of which should stop it; of an incident
 */

/** @typedef {(world: World, heard: Heard) => string} Speech */

const [minute, night, room] = [60_000, 12, "#room"]

/**
 * An agent that answers every message it hears from those it listens to.
 * @param {World} world @param {string} id
 * @param {{ rooms?: string[], leastS: number, mostS: number, speech?: Speech, times?: number,
 *   answer: (heard: Heard) => Omit<Draft, "text"> | undefined }} how - times: messages of each answer
 */
function answerer(world, id, { rooms = [], leastS, mostS, answer, speech = talk, times = 1 }) {
  let isBusy = false
  /** @type {Heard | undefined} */
  let meanwhile
  const hear = (/** @type {Heard} */ heard) => {
    const draft = answer(heard)
    if (draft === undefined) return
    let delayMs = world.between(leastS, mostS)
    for (let n = 0; n < times; n += 1) {
      world.say(id, { ...draft, text: speech(world, heard) }, delayMs)
      delayMs += world.between(2, 6)
    }
    if (times === 1) return
    // Messages that arrive while it speaks get one answer afterwards.
    isBusy = true
    world.after(delayMs, () => {
      isBusy = false
      const last = meanwhile
      meanwhile = undefined
      if (last !== undefined) hear(last)
    })
  }
  return world.add(
    id,
    (heard) => {
      if (isBusy) meanwhile = heard
      else hear(heard)
    },
    { rooms },
  )
}

/**
 * Somebody in the same room who has nothing to do with it, and says something every ten minutes for two hours.
 * @param {World} world @param {string} [where]
 */
function bystander(world, where = room) {
  const id = world.add("@bystander", () => {}, { rooms: [where], isBystander: true })
  for (let n = 1; n <= 12; n += 1) world.say(id, { to: where, text: talk(world) }, n * 10 * minute)
}

const fromBystander = (/** @type {Heard} */ heard) => heard.from === "@bystander"

/**
 * Two agents, each of which answers the other's direct message.
 * @param {{ leastS: number, mostS: number, refers: boolean, speech?: Speech, times?: number }} how
 */
function directPair({ refers, ...how }) {
  return (/** @type {World} */ world) => {
    const answer = (/** @type {Heard} */ heard) => ({
      to: heard.from,
      ...(refers && { answers: heard.id }),
    })
    answerer(world, "@a", { ...how, answer })
    answerer(world, "@b", { ...how, answer })
    world.say("@a", { to: "@b", text: talk(world) })
  }
}

/**
 * Agents that answer one another in a room, each the one before it in the list.
 * @param {{ ids: readonly string[], leastS: number, mostS: number, refers?: boolean, mentions?: boolean, speech?: Speech,
 *   kind?: Draft["kind"] }} how
 */
function ringInRoom({ ids, leastS, mostS, refers = false, mentions = false, speech, kind }) {
  return (/** @type {World} */ world) => {
    for (const [n, id] of ids.entries()) {
      const before = ids.at(n - 1)
      const next = ids[(n + 1) % ids.length] ?? id
      const answer = (/** @type {Heard} */ heard) =>
        heard.from === before
          ? { to: room, kind, ...(refers && { answers: heard.id }), ...(mentions && { mentions: [next] }) }
          : undefined
      answerer(world, id, { rooms: [room], leastS, mostS, ...(speech && { speech }), answer })
    }
    const [first = "@a", second = "@b"] = ids
    world.say(first, { to: room, text: talk(world), kind, ...(mentions && { mentions: [second] }) })
    bystander(world)
  }
}

/** A writes to B, B to C, C to A. @param {{ leastS: number, mostS: number, refers: boolean }} how */
function triangle({ refers, ...how }) {
  return (/** @type {World} */ world) => {
    const ids = ["@a", "@b", "@c"]
    for (const [n, id] of ids.entries()) {
      const to = ids[(n + 1) % ids.length] ?? ""
      answerer(world, id, { ...how, answer: (heard) => ({ to, ...(refers && { answers: heard.id }) }) })
    }
    world.say("@a", { to: "@b", text: talk(world) })
  }
}

/** Four that each answer whatever was said last, one about every quarter of a minute. @param {World} world */
function fourBots(world) {
  for (const id of ["@a", "@b", "@c", "@d"]) {
    let isBusy = false
    world.add(
      id,
      (heard) => {
        if (isBusy || fromBystander(heard)) return
        isBusy = true
        world.after(world.between(45, 75), () => {
          isBusy = false
          world.say(id, { to: room, text: talk(world) })
        })
      },
      { rooms: [room] },
    )
  }
  world.say("@a", { to: room, text: talk(world) })
  bystander(world)
}

/** A with B and C with D, in turn in one room. @param {World} world */
function interleaved(world) {
  for (const [one, other] of [
    ["@a", "@b"],
    ["@c", "@d"],
  ]) {
    for (const [n, id] of [one, other].entries()) {
      const partner = [other, one][n]
      const answer = (/** @type {Heard} */ heard) =>
        heard.from === partner ? { to: room, answers: heard.id, mentions: [heard.from] } : undefined
      answerer(world, id ?? "", { rooms: [room], leastS: 8, mostS: 12, answer })
    }
    world.say(one ?? "", { to: room, text: talk(world), mentions: [other ?? ""] })
  }
  bystander(world)
}

/** Six answer one question, then each remarks once on every other answer, and on every remark on its own. @param {World} world */
function pileOn(world) {
  const ids = ["@a", "@b", "@c", "@d", "@e", "@f"]
  world.add("@asker", () => {}, { rooms: [room] })
  for (const id of ids) {
    world.add(
      id,
      ({ id: heard, from, to, answers }) => {
        if (from === "@asker") world.say(id, { to: room, text: talk(world) }, world.between(3, 20))
        else if (to.length === 0) {
          world.say(
            id,
            { to: room, text: talk(world), mentions: [from], answers: heard },
            world.between(10, 40),
          )
        } else if (to.includes(id) && answers !== undefined) {
          world.say(id, { to: room, text: talk(world), mentions: [from] }, world.between(10, 40))
        }
      },
      { rooms: [room] },
    )
  }
  world.say("@asker", {
    to: room,
    text: "Does anybody know why the nightly build takes an hour longer since Monday?",
  })
}

/** It says hello, dies, and begins anew; the relay is restarted as well, now and then. @param {World} world */
function crashRestart(world) {
  world.add("@host", () => {}, { rooms: [room] })
  world.add("@a", () => {}, { rooms: [room] })
  const live = (/** @type {number} */ times) => {
    world.say("@a", {
      to: room,
      text: "Hello, this is the builder agent. I have just started and I am ready for work.",
    })
    if (times % 10 === 9) world.restart()
    world.after(world.between(25, 40), () => live(times + 1))
  }
  live(0)
  bystander(world)
}

/**
 * It has no key: each time it begins anew it is somebody else, and says the same, to the same.
 * @param {{ to: string, leastS: number, mostS: number }} how
 */
function crashAsAnother({ to, leastS, mostS }) {
  return (/** @type {World} */ world) => {
    world.add("@host", () => {}, { rooms: [room] })
    let times = 0
    const live = () => {
      const id = world.add(`@builder-${times}`, () => {}, { rooms: [room] })
      world.say(id, {
        to,
        text: "Hello, this is the builder agent. I have just started and I am ready for work.",
      })
      times += 1
      world.after(1_000, () => world.end(id))
      world.after(world.between(leastS, mostS), live)
    }
    live()
    bystander(world)
  }
}

/** The same result again and again, as one that does not see its own message does. @param {World} world */
function duplicates(world) {
  world.add("@host", () => {}, { rooms: [room] })
  world.add("@a", () => {}, { rooms: [room] })
  const text = `The report is ready: ${sentence(world, 40)}.`
  for (let n = 0; n < 80; n += 1) world.say("@a", { to: room, text }, n * 45_000)
  bystander(world)
}

/** The same, with a little changed each time. @param {World} world */
function nearDuplicates(world) {
  world.add("@host", () => {}, { rooms: [room] })
  world.add("@a", () => {}, { rooms: [room] })
  const text = `The report is ready: ${sentence(world, 120)}`
  for (let n = 0; n < 80; n += 1)
    world.say("@a", { to: room, text: `${text} (attempt ${n + 1}).` }, n * 45_000)
  bystander(world)
}

/** Asks one who does not answer, by name, for ever. @param {World} world */
function nagging(world) {
  world.add("@silent", () => {}, { rooms: [room] })
  world.add("@a", () => {}, { rooms: [room] })
  const ask = () => {
    world.say("@a", { to: room, text: talk(world), mentions: ["@silent"] })
    world.after(world.between(20, 60), ask)
  }
  ask()
  bystander(world)
}

/** Wakes thirty others every two minutes. @param {World} world */
function broadcast(world) {
  const all = Array.from({ length: 30 }, (_, n) => world.add(`@w${n}`, () => {}, { rooms: [room] }))
  world.add("@a", () => {}, { rooms: [room] })
  for (let n = 0; n < night * 30; n += 1) {
    world.say("@a", { to: room, text: talk(world), mentions: all }, n * 2 * minute)
  }
}

const file = "00112233445566778899aabbccddeeff ".repeat(1_200)

/** Two hand whole files to each other before ten others. @param {World} world */
function pastes(world) {
  for (let n = 0; n < 10; n += 1) world.add(`@w${n}`, () => {}, { rooms: [room] })
  ringInRoom({ ids: ["@a", "@b"], leastS: 60, mostS: 90, speech: (w) => `${sentence(w, 60)} ${file}` })(world)
}

/** Two that answer automatically, and say so. @param {World} world */
function autoReplies(world) {
  const answer = (/** @type {Heard} */ heard) => ({ to: heard.from, kind: /** @type {const} */ ("auto") })
  answerer(world, "@a", { leastS: 1, mostS: 2, answer, speech: (w) => `I am away. ${sentence(w, 8)}.` })
  answerer(world, "@b", { leastS: 1, mostS: 2, answer, speech: (w) => `I am busy. ${sentence(w, 8)}.` })
  world.say("@a", { to: "@b", text: talk(world) })
}

/** Every reply mentions its author, also the one that says it is none. @param {World} world */
function replyMention(world) {
  for (const id of ["@a", "@b", "@c"]) {
    const answer = (/** @type {Heard} */ heard) =>
      heard.to.includes(id) ? { to: room, mentions: [heard.from], answers: heard.id } : undefined
    answerer(world, id, { rooms: [room], leastS: 6, mostS: 20, speech: silence, answer })
  }
  world.say("@a", { to: room, text: talk(world), mentions: ["@b", "@c"] })
  bystander(world)
}

/** @type {readonly Trace[]} */
export const incidents = [
  {
    name: "ping-pong, direct, in_reply_to",
    hours: night,
    expected: ["conversation"],
    begin: directPair({ leastS: 1, mostS: 3, refers: true }),
  },
  {
    name: "ping-pong, direct",
    hours: night,
    expected: ["conversation"],
    begin: directPair({ leastS: 1, mostS: 3, refers: false }),
  },
  {
    name: "ping-pong, three messages each",
    hours: night,
    expected: ["conversation"],
    begin: directPair({ leastS: 1, mostS: 3, refers: false, times: 3 }),
  },
  {
    name: "ping-pong in a room, by mention",
    hours: night,
    expected: ["conversation"],
    begin: ringInRoom({ ids: ["@a", "@b"], leastS: 2, mostS: 5, mentions: true }),
  },
  {
    name: "ping-pong in a room, to nobody",
    hours: night,
    expected: ["conversation"],
    begin: ringInRoom({ ids: ["@a", "@b"], leastS: 2, mostS: 5 }),
  },
  {
    name: "ping-pong in a room, all status",
    hours: night,
    expected: ["conversation"],
    begin: ringInRoom({ ids: ["@a", "@b"], leastS: 2, mostS: 5, mentions: true, kind: "status" }),
  },
  {
    name: "triangle, in_reply_to",
    hours: night,
    expected: ["conversation"],
    begin: triangle({ leastS: 60, mostS: 120, refers: true }),
  },
  {
    name: "triangle, 20 s",
    hours: night,
    expected: ["conversation"],
    begin: triangle({ leastS: 15, mostS: 25, refers: false }),
  },
  {
    name: "triangle, 90 s",
    hours: night,
    expected: ["conversation"],
    begin: triangle({ leastS: 60, mostS: 120, refers: false }),
  },
  {
    name: "four bots 15 s apart, in a ring",
    hours: night,
    expected: ["conversation"],
    begin: ringInRoom({ ids: ["@a", "@b", "@c", "@d"], leastS: 14, mostS: 16 }),
  },
  { name: "four bots 15 s apart, each any", hours: night, expected: ["conversation"], begin: fourBots },
  { name: "two interleaved threads", hours: night, expected: ["conversation"], begin: interleaved },
  {
    name: "slow loop, 2 min",
    hours: night,
    expected: ["conversation"],
    begin: directPair({ leastS: 90, mostS: 150, refers: false }),
  },
  {
    name: "slow loop, 20 min",
    hours: 24,
    expected: ["slow"],
    begin: directPair({ leastS: 900, mostS: 1_500, refers: false }),
  },
  {
    name: "“I am not replying”",
    hours: night,
    expected: ["conversation"],
    begin: directPair({ leastS: 4, mostS: 15, refers: true, speech: courtesy }),
  },
  { name: "reply mentions its author", hours: night, expected: ["conversation"], begin: replyMention },
  { name: "pile-on of six", hours: night, expected: ["conversation"], begin: pileOn },
  { name: "crash and restart", hours: night, expected: ["same"], begin: crashRestart },
  {
    name: "crash, restart as another, in a room",
    hours: night,
    expected: ["same"],
    begin: crashAsAnother({ to: room, leastS: 5, mostS: 40 }),
  },
  {
    name: "crash, restart as another, direct, 5 min",
    hours: night,
    expected: ["same"],
    begin: crashAsAnother({ to: "@host", leastS: 240, mostS: 420 }),
  },
  { name: "80 copies", hours: night, expected: ["same"], begin: duplicates },
  { name: "80 copies but for a number", hours: night, expected: ["same"], begin: nearDuplicates },
  { name: "nags one who is silent", hours: night, expected: ["mentions"], begin: nagging },
  { name: "wakes thirty every 2 min", hours: 3, expected: ["wakes"], begin: broadcast },
  { name: "whole files, to ten others", hours: night, expected: ["budget", "conversation"], begin: pastes },
  ...burstIncidents,
  ...dealIncidents,
  ...restartIncidents,
  { name: "automatic answers", hours: night, expected: ["conversation"], begin: autoReplies },
]
