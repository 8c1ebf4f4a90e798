// Agents that make deals: some for ever, about nothing; others because there is work.
import { sentence, talk } from "./loop-words.mjs"

/** @typedef {import("./loop-world.mjs").World} World */
/** @typedef {import("./loop-world.mjs").Heard} Heard */
/** @typedef {import("./loop-incidents.mjs").Trace} Trace */

const minute = 60_000
const hour = 60 * minute
const night = 12

/** @param {World} world @param {string} to @param {string} [text] */
const proposal = (world, to, text = talk(world)) => ({ to, text, isProposal: true })

/**
 * One proposes, the other declines, and so on.
 * @param {{ leastS: number, mostS: number }} how
 */
function declined({ leastS, mostS }) {
  return (/** @type {World} */ world) => {
    world.add("@a", ({ from, verb }) => {
      if (verb === "REJECT") world.say("@a", proposal(world, from), world.between(leastS, mostS))
    })
    world.add("@b", (heard) => {
      if (heard.verb === "PROPOSAL") world.answer("@b", heard, "REJECT", world.between(leastS, mostS))
    })
    world.say("@a", proposal(world, "@b"))
  }
}

/**
 * Each answers a proposal with one of its own.
 * @param {{ leastS: number, mostS: number, rejects: boolean, text?: string }} how - rejects: and declines it first
 */
function countered({ leastS, mostS, rejects, text }) {
  return (/** @type {World} */ world) => {
    for (const id of ["@a", "@b"]) {
      world.add(id, (heard) => {
        if (heard.verb !== "PROPOSAL") return
        const delayMs = world.between(leastS, mostS)
        if (rejects) world.answer(id, heard, "REJECT", delayMs)
        world.say(id, proposal(world, heard.from, text ?? talk(world)), delayMs + 1)
      })
    }
    world.say("@a", proposal(world, "@b", text ?? talk(world)))
  }
}

/** Nobody ever answers. @param {{ leastS: number, mostS: number }} how */
function unanswered({ leastS, mostS }) {
  return (/** @type {World} */ world) => {
    world.add("@b")
    world.add("@a")
    const ask = () => {
      world.say("@a", proposal(world, "@b"))
      world.after(world.between(leastS, mostS), ask)
    }
    ask()
  }
}

/**
 * Tasks are handed out, each done in its time.
 * @param {{ workers: number, tasks: number, hours: number, atOnce?: number, leastS: number, mostS: number, declines?: number,
 *   text?: string }} how - atOnce: handed out together; declines: every so manyeth is declined, and offered to the next
 */
function dispatch({ workers, tasks, hours, atOnce = 1, leastS, mostS, declines = 0, text }) {
  return (/** @type {World} */ world) => {
    const ids = Array.from({ length: workers }, (_, n) => `@w${n}`)
    /** @param {number} n */
    const offer = (n) => proposal(world, ids[n % workers] ?? "", text ?? sentence(world, 12))
    let asked = 0
    let next = 0
    world.add("@dispatcher", ({ verb }) => {
      if (verb === "REJECT") world.say("@dispatcher", offer(next++), world.between(1, 10))
    })
    for (const id of ids) {
      let freeAtMs = 0
      world.add(id, (heard) => {
        if (heard.verb !== "PROPOSAL") return
        asked += 1
        if (declines > 0 && asked % declines === 0) {
          world.answer(id, heard, "REJECT", world.between(1, 5))
          return
        }
        world.answer(id, heard, "ACCEPT", world.between(1, 5))
        freeAtMs = Math.max(freeAtMs, world.nowMs + 5_000) + world.between(leastS, mostS)
        world.answer(id, heard, "COMPLETE", freeAtMs - world.nowMs)
      })
    }
    for (let n = 0; n < tasks; n += atOnce) {
      const ms = (n / tasks) * hours * hour
      // One worker gets a pile, then the next one.
      for (let m = 0; m < atOnce; m += 1)
        world.after(ms + m * 1_000, () => {
          world.say("@dispatcher", offer(atOnce > 1 ? Math.floor(n / atOnce) : next++))
        })
    }
  }
}

/** Two agree on the seventh proposal, and it is done; then on the next thing, and so on, for a day. @param {World} world */
function negotiation(world) {
  let rounds = 0
  for (const id of ["@a", "@b"]) {
    world.add(id, (heard) => {
      if (heard.verb !== "PROPOSAL") return
      rounds += 1
      if (rounds % 7 === 0) {
        world.answer(id, heard, "ACCEPT", world.between(20, 90))
        world.answer(id, heard, "COMPLETE", world.between(1_200, 2_400))
        return
      }
      world.answer(id, heard, "REJECT", world.between(20, 90))
      world.say(id, proposal(world, heard.from), world.between(91, 180))
    })
  }
  for (let n = 0; n < 8; n += 1) world.say("@a", proposal(world, "@b"), n * 90 * minute)
}

/** Buyers ask sellers for offers all day; of each twelve that are asked one gets it. @param {World} world */
function marketplace(world) {
  const sellers = Array.from({ length: 15 }, (_, n) => `@seller-${n}`)
  for (const id of sellers) {
    world.add(id, (heard) => {
      if (heard.verb !== "PROPOSAL") return
      const isTaken = world.below(12) === 0
      world.answer(id, heard, isTaken ? "ACCEPT" : "REJECT", world.between(2, 60))
      if (isTaken) world.answer(id, heard, "COMPLETE", world.between(300, 3_600))
    })
  }
  for (let n = 0; n < 10; n += 1) {
    const id = world.add(`@buyer-${n}`)
    for (let ms = world.between(0, 1_200); ms < 8 * hour; ms += world.between(600, 1_200)) {
      const first = world.below(15)
      for (let m = 0; m < 5; m += 1)
        world.say(id, proposal(world, sellers[(first + m) % 15] ?? ""), ms + m * 2_000)
    }
  }
}

/** @type {readonly Trace[]} */
export const dealIncidents = [
  {
    name: "proposed and rejected",
    hours: night,
    expected: ["deals"],
    begin: declined({ leastS: 1, mostS: 3 }),
  },
  {
    name: "proposed and rejected, 5 min",
    hours: night,
    expected: ["deals"],
    begin: declined({ leastS: 200, mostS: 400 }),
  },
  {
    name: "countered, as fast as can be",
    hours: night,
    expected: ["deals"],
    begin: countered({ leastS: 1, mostS: 3, rejects: false }),
  },
  {
    name: "rejected and countered, 2 min",
    hours: night,
    expected: ["deals"],
    begin: countered({ leastS: 90, mostS: 150, rejects: true }),
  },
  {
    name: "the same proposed back and forth",
    hours: night,
    expected: ["deals"],
    begin: countered({
      leastS: 5,
      mostS: 15,
      rejects: true,
      text: "Review the parser and tell me what you find.",
    }),
  },
  {
    name: "proposed, never answered",
    hours: night,
    expected: ["deals"],
    begin: unanswered({ leastS: 20, mostS: 60 }),
  },
  {
    name: "proposed, never answered, 10 min",
    hours: night,
    expected: ["deals"],
    begin: unanswered({ leastS: 500, mostS: 700 }),
  },
]

/** @type {readonly Trace[]} */
export const honestDeals = [
  {
    name: "100 proposals to ten workers",
    hours: 12,
    begin: dispatch({ workers: 10, tasks: 100, hours: 8, leastS: 300, mostS: 1_800 }),
  },
  {
    name: "100 proposals to three, in piles",
    hours: 24,
    begin: dispatch({ workers: 3, tasks: 100, hours: 1, atOnce: 33, leastS: 300, mostS: 900 }),
  },
  {
    name: "proposals to three, half are busy",
    hours: 14,
    begin: dispatch({ workers: 3, tasks: 100, hours: 8, leastS: 300, mostS: 900, declines: 2 }),
  },
  {
    name: "a deal every 20 s, all the same",
    hours: 8,
    begin: dispatch({
      workers: 1,
      tasks: 1_000,
      hours: 6,
      leastS: 3,
      mostS: 12,
      text: "Translate the next page.",
    }),
  },
  { name: "negotiations of seven rounds", hours: 13, begin: negotiation },
  { name: "marketplace, 10 ask 15", hours: 10, begin: marketplace },
]
