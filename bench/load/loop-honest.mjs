// Work that must go on: each of these looks a little like a loop.
import { honestDeals } from "./loop-deals.mjs"
import { honestFeeds } from "./loop-feeds.mjs"
import { honestTellers } from "./loop-restarts.mjs"
import { sentence, talk } from "./loop-words.mjs"

/** @typedef {import("./loop-world.mjs").World} World */
/** @typedef {import("./loop-world.mjs").Draft} Draft */
/** @typedef {import("./loop-incidents.mjs").Trace} Trace */

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const room = "#room"

/**
 * Two work on one fault for an hour: one says what it found, in a message or three, the other tries something and
 * answers. After a few answers something new begins, or it is all one thread.
 * @param {{ isDirect: boolean, refers: boolean, isOneThread?: boolean }} how
 */
function pairDebugging({ isDirect, refers, isOneThread = false }) {
  return (/** @type {World} */ world) => {
    /** @param {string} id @param {string} other */
    const join = (id, other) => {
      world.add(
        id,
        ({ id: heard, from, text }) => {
          if (from !== other || !text.endsWith("?") || world.nowMs > hour) return
          // It runs something first.
          const isNew = world.below(4) === 0 && !isOneThread
          speak(id, other, world.between(40, 200), isNew ? undefined : heard)
        },
        { rooms: [room] },
      )
    }
    /** @param {string} id @param {string} other @param {number} delayMs @param {string | undefined} answers */
    const speak = (id, other, delayMs, answers) => {
      const count = 1 + world.below(3)
      for (let n = 1; n <= count; n += 1) {
        const text = `${sentence(world, 8 + world.below(40))}${n === count ? "?" : "."}`
        const draft = {
          to: isDirect ? other : room,
          text,
          ...(!isDirect && n === count && world.below(2) === 0 && { mentions: [other] }),
          ...(refers && answers !== undefined && { answers }),
        }
        world.say(id, draft, delayMs + n * world.between(3, 10))
      }
    }
    join("@a", "@b")
    join("@b", "@a")
    speak("@a", "@b", 0, undefined)
  }
}

/**
 * Five builds a minute for three hours, while four now and then talk, about the builds and other things.
 * @param {Draft["kind"]} kind - what the feed says its messages are
 */
function feed(kind) {
  return (/** @type {World} */ world) => {
    const people = ["@a", "@b", "@c", "@d"].map((id) => world.add(id, () => {}, { rooms: [room] }))
    world.add("@ci", () => {}, { rooms: [room] })
    const branches = ["main", "fix/parser", "feature/tasks", "release"]
    for (let n = 0; n < 900; n += 1) {
      const [branch, took] = [branches[world.below(4)], 60 + world.below(400)]
      const outcome = world.below(12) === 0 ? `failed in step ${1 + world.below(9)}` : "passed"
      const text = `build ${4_000 + n} of ${branch} ${outcome} in ${took} s, see artifacts of build ${4_000 + n} for the log`
      world.say("@ci", { to: room, text, kind }, n * 12 * second)
    }
    for (const id of people) {
      for (let ms = world.between(60, 1_200); ms < 3 * hour; ms += world.between(900, 1_800))
        world.say(id, { to: room, text: talk(world) }, ms)
    }
  }
}

/**
 * The lead asks, thirty answer within two minutes, a few are asked on.
 * @param {string} question
 */
function standUp(question) {
  return (/** @type {World} */ world) => {
    const answered = new Set()
    world.add(
      "@lead",
      ({ id, from, to }) => {
        if (to.length > 0 || answered.has(from)) return
        answered.add(from)
        if (world.below(6) === 0)
          world.say(
            "@lead",
            { to: room, text: `${sentence(world, 12)}?`, mentions: [from], answers: id },
            world.between(20, 60),
          )
      },
      { rooms: [room] },
    )
    for (let n = 0; n < 30; n += 1) {
      const id = `@w${n}`
      world.add(
        id,
        (heard) => {
          if (heard.from !== "@lead") return
          const refersBack = world.below(2) === 0 && { answers: heard.id }
          if (heard.to.length === 0)
            world.say(id, { to: room, text: talk(world), ...refersBack }, world.between(3, 110))
          else if (heard.to.includes(id))
            world.say(id, { to: room, text: talk(world), answers: heard.id }, world.between(10, 60))
        },
        { rooms: [room] },
      )
    }
    world.say("@lead", { to: room, text: question })
  }
}

const remarks = [
  "unused import",
  "this can be null",
  "name says the opposite of what it does",
  "no test for the empty list",
  "the error is swallowed here",
  "same as above",
  "nit: trailing space",
  "why not a map?",
]

/**
 * Eight files with fifty remarks each; after each file its author says of some what became of them.
 * @param {{ to: string, kind?: Draft["kind"] }} how
 */
function review({ to, kind }) {
  return (/** @type {World} */ world) => {
    const isDirect = to.startsWith("@")
    const author = world.add(
      "@author",
      ({ id, text }) => {
        if (!text.endsWith("(last of this file)")) return
        for (let n = 0; n < 6; n += 1) {
          const draft = { to: isDirect ? "@reviewer" : to, text: `${talk(world)} Done.`, answers: id, kind }
          world.say("@author", draft, world.between(60, 90) + n * 5 * second)
        }
      },
      { rooms: [room] },
    )
    world.add("@reviewer", () => {}, { rooms: [room] })
    let ms = 0
    for (let file = 0; file < 8; file += 1) {
      for (let n = 0; n < 50; n += 1) {
        const remark = world.below(2) === 0 ? remarks[world.below(remarks.length)] : sentence(world, 14)
        const end = n === 49 ? " (last of this file)" : ""
        const text = `src/part-${file}.ts:${n * 9 + world.below(9)}: ${remark}${end}`
        world.say("@reviewer", { to: isDirect ? author : to, text, kind }, ms)
        ms += world.between(3, 12)
      }
      ms += 3 * minute
    }
  }
}

/** A person asks five agents things for an hour: one, two, or all of them, who then talk among themselves a little. @param {World} world */
function operatorHour(world) {
  const ids = ["@a", "@b", "@c", "@d", "@e"]
  world.add("@person", () => {}, { rooms: [room], isOperator: true })
  for (const id of ids) {
    world.add(
      id,
      (heard) => {
        const isAsked = heard.to.length === 0 ? heard.from === "@person" : heard.to.includes(id)
        if (!isAsked) return
        const isForHelp = heard.from === "@person" && world.below(4) === 0
        const helper = ids[(ids.indexOf(id) + 1 + world.below(4)) % 5] ?? ""
        const draft = isForHelp
          ? { to: room, text: `${sentence(world, 15)}?`, mentions: [helper] }
          : { to: room, text: talk(world), answers: heard.id }
        world.say(id, draft, world.between(4, 40))
      },
      { rooms: [room] },
    )
  }
  for (let ms = 0; ms < hour; ms += world.between(60, 180)) {
    const one = ids[world.below(5)] ?? ""
    const other = ids[world.below(5)] ?? ""
    const mentions = [[one], [one], [one], [one, other], []][world.below(5)] ?? []
    world.say("@person", { to: room, text: `${sentence(world, 12)}?`, mentions }, ms)
  }
}

/** Sixty tasks for a role in an hour; of some the worker asks something first. @param {World} world */
function roleTasks(world) {
  const workers = ["@w0", "@w1", "@w2"]
  world.add("@asker", ({ id, from, text }) => {
    if (text.endsWith("?"))
      world.say("@asker", { to: from, text: talk(world), answers: id }, world.between(5, 30))
  })
  let turn = 0
  const roleEar = world.add("@role", (heard) => {
    const worker = workers[turn++ % 3] ?? ""
    if (turn % 4 === 0) {
      const question = { to: heard.from, text: `${sentence(world, 9)}?`, answers: heard.id }
      world.say(worker, question, world.between(5, 10))
    }
    world.after(world.between(60, 150), () => world.done([heard.from, worker]))
  })
  for (const id of workers) world.add(id)
  world.join("+reviewer", roleEar)
  for (let n = 0; n < 60; n += 1) world.say("@asker", { to: "+reviewer", text: talk(world) }, n * minute)
}

/** Two who talk a lot, and every few minutes a task of one of them is done: three hours. @param {World} world */
function talkAndWork(world) {
  for (const [id, other] of [
    ["@a", "@b"],
    ["@b", "@a"],
  ]) {
    world.add(
      id ?? "",
      (heard) => {
        if (heard.from !== other || world.nowMs > 3 * hour) return
        world.say(id ?? "", { to: room, text: talk(world) }, world.between(65, 130))
      },
      { rooms: [room] },
    )
  }
  for (let ms = 8 * minute; ms < 3 * hour; ms += world.between(400, 800))
    world.after(ms, () => world.done(["@a", "@b"]))
  world.say("@a", { to: room, text: talk(world) })
}

/** Thirty items go from a planner to a writer to a tester and back; each is a task that is done in the end. @param {World} world */
function assemblyLine(world) {
  const line = ["@planner", "@writer", "@tester"]
  let items = 0
  for (const [n, id] of line.entries()) {
    const next = line[(n + 1) % 3] ?? ""
    world.add(id, () => {
      if (n === 2) world.done(line)
      if (n === 0 && ++items >= 30) return
      world.say(id, { to: next, text: talk(world) }, world.between(20, 60))
    })
  }
  world.say("@planner", { to: "@writer", text: talk(world) })
}

/** Twenty ask one who knows, each three things, within an hour. @param {World} world */
function helpDesk(world) {
  world.add("@expert", ({ id, from }) => {
    world.say("@expert", { to: from, text: talk(world), answers: id }, world.between(5, 20))
  })
  for (let n = 0; n < 20; n += 1) {
    const id = world.add(`@n${n}`, (heard) => {
      if (asked++ < 3)
        world.say(id, { to: "@expert", text: `${talk(world)}?`, answers: heard.id }, world.between(10, 60))
    })
    let asked = 1
    world.say(id, { to: "@expert", text: `${sentence(world, 10)}?` }, world.between(0, 3_300))
  }
}

/** Six weigh a design for an hour: everybody says what it thinks about four times, to all or to one. @param {World} world */
function designTalk(world) {
  const ids = ["@a", "@b", "@c", "@d", "@e", "@f"]
  for (const id of ids) world.add(id, () => {}, { rooms: [room] })
  for (let ms = 0, n = 0; ms < hour; ms += world.between(60, 240), n += 1) {
    const id = ids[(n + world.below(3)) % 6] ?? ""
    const other = ids[world.below(6)] ?? ""
    const mentions = other !== id && world.below(3) === 0 ? [other] : []
    world.say(id, { to: room, text: `${talk(world)}${world.below(4) === 0 ? "?" : ""}`, mentions }, ms)
  }
}

/**
 * Workers without a key start at once, all from the same script, and say the same; then each does its work and tells.
 * @param {{ count: number, first: readonly string[] }} how
 */
function fleet({ count, first }) {
  return (/** @type {World} */ world) => {
    world.add("@lead", () => {}, { rooms: [room] })
    for (let n = 0; n < count; n += 1) {
      const id = world.add(`@worker-${n}`, () => {}, { rooms: [room] })
      let ms = world.between(0, 120)
      for (const text of first) {
        world.say(id, { to: room, text }, ms)
        ms += world.between(300, 900)
      }
      world.say(id, { to: room, text: `${sentence(world, 10)}: all done.` }, ms)
    }
  }
}

/** Six on one task for three hours, who tell one another what they find; every 20 minutes one has done a part of it for the first. @param {World} world */
function team(world) {
  const ids = ["@a", "@b", "@c", "@d", "@e", "@f"]
  for (const id of ids) world.add(id, () => {}, { rooms: [room] })
  for (let ms = 0, n = 0; ms < 3 * hour; ms += world.between(30, 120), n += 1) {
    const id = ids[(n * n + world.below(5)) % 6] ?? ""
    const other = ids[world.below(6)] ?? ""
    const mentions = other !== id && world.below(4) === 0 ? [other] : []
    for (let more = world.below(3), at = ms; more >= 0; more -= 1, at += world.between(3, 10)) {
      const isLast = more === 0
      const text = `${talk(world)}${isLast && world.below(5) === 0 ? "?" : ""}`
      world.say(id, { to: room, text, ...(isLast && { mentions }) }, at)
    }
  }
  for (let ms = 20 * minute; ms < 3 * hour; ms += 20 * minute)
    world.after(ms, () => world.done(["@a", ids[1 + world.below(5)] ?? ""]))
}

/**
 * An agent tells its lead how far it is, in three messages, and goes on when the lead has answered: 40 times in two hours,
 * every ten times a part of the task is done.
 * @param {{ isDirect: boolean }} how
 */
function progress({ isDirect }) {
  return (/** @type {World} */ world) => {
    let turns = 0
    /** @param {string} other @param {string} text */
    const draft = (other, text) => ({ to: isDirect ? other : room, text })
    world.add(
      "@lead",
      ({ text }) => {
        if (!text.endsWith("?")) return
        world.say("@lead", draft("@worker", talk(world)), world.between(10, 40))
      },
      { rooms: [room] },
    )
    const report = () => {
      turns += 1
      if (turns % 10 === 0) world.done(["@worker"])
      for (let n = 0; n < 3; n += 1)
        world.say("@worker", draft("@lead", `${talk(world)}${n === 2 ? "?" : ""}`), n * world.between(3, 8))
    }
    world.add(
      "@worker",
      () => {
        if (turns < 40) world.after(world.between(90, 180), report)
      },
      { rooms: [room] },
    )
    report()
  }
}

/** @type {readonly Trace[]} */
export const honestWork = [
  { name: "pair debugging, direct", hours: 2, begin: pairDebugging({ isDirect: true, refers: true }) },
  {
    name: "pair debugging, one thread",
    hours: 2,
    begin: pairDebugging({ isDirect: true, refers: true, isOneThread: true }),
  },
  { name: "pair debugging, in a room", hours: 2, begin: pairDebugging({ isDirect: false, refers: false }) },
  { name: "CI feed, 5/min, as status", hours: 4, begin: feed("status") },
  { name: "CI feed, 5/min, of no kind", hours: 4, begin: feed(undefined) },
  {
    name: "stand-up of 30, “everyone”",
    hours: 1,
    begin: standUp("Good morning everyone: what did each of you finish, and what blocks you?"),
  },
  { name: "stand-up of 30, a bare question", hours: 1, begin: standUp("What are you working on today?") },
  { name: "400 review comments, in a room", hours: 3, begin: review({ to: room }) },
  { name: "400 review comments, direct", hours: 3, begin: review({ to: "@author", kind: "inform" }) },
  { name: "a person and five agents", hours: 2, begin: operatorHour },
  { name: "six weigh a design", hours: 2, begin: designTalk },
  { name: "60 tasks for a role", hours: 2, begin: roleTasks },
  { name: "talk with work done", hours: 4, begin: talkAndWork },
  { name: "assembly line of tasks", hours: 3, begin: assemblyLine },
  ...honestFeeds,
  { name: "six on one task, in parts", hours: 4, begin: team },
  { name: "reports to a lead, in a room", hours: 3, begin: progress({ isDirect: false }) },
  { name: "reports to a lead, direct", hours: 3, begin: progress({ isDirect: true }) },
  { name: "ten workers: ready", hours: 1, begin: fleet({ count: 10, first: ["ready", "tests pass"] }) },
  {
    name: "20 workers: the same sentence",
    hours: 1,
    begin: fleet({
      count: 20,
      first: ["starting the nightly build of main", "the nightly build of main is ready"],
    }),
  },
  { name: "help desk for 20", hours: 2, begin: helpDesk },
  ...honestDeals,
  ...honestTellers,
]
