// Loops of agents, each until it is stopped, and honest work, which must not be: by the rule of the first AgentChat, by
// each layer of the guards alone, and by all. On a clock of their own: the figures are the same on every machine.
import { importBuilt } from "./kit/built.mjs"
import { honestWork } from "./load/loop-honest.mjs"
import { incidents } from "./load/loop-incidents.mjs"
import { guardRule, noRule, seedRule } from "./load/loop-rules.mjs"
import { World } from "./load/loop-world.mjs"

/** @typedef {import("./load/loop-world.mjs").Rule} Rule */
/** @typedef {import("./load/loop-world.mjs").Manner} Manner */
/** @typedef {import("./load/loop-incidents.mjs").Trace} Trace */
/** @typedef {import("../src/guards/guard-message.js").RuleName} LayerName */

const hour = 3_600_000
/** A loop with more messages counts as not stopped. */
const mostMessages = 2_000
const goal = 60
/** Nights of other dice that the sentence about all of them is made of. */
const seeds = 4

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export async function run() {
  const { Guard, limits, layers } = await loadGuards()
  const all = () => guardRule(Guard, limits)
  const alone = layers.map((layer) => () => guardRule(Guard, limits, [layer]))
  const caught = incidents.map((trace) => {
    const free = play(trace, noRule())
    const polite = play(trace, all())
    return {
      name: trace.name,
      free,
      worlds: [play(trace, seedRule()), ...alone.map((rule) => play(trace, rule())), polite],
      stubborn: play(trace, all(), "stubborn"),
      by: [...new Set(polite.refusals.map(({ layer }) => layer))].join(", "),
    }
  })
  const passed = honestWork.map((trace) => ({
    name: trace.name,
    worlds: [...[seedRule, ...alone].map((rule) => play(trace, rule())), playAll(trace, all())],
  }))
  const columns = ["", "1/s", ...layers, "all"]
  return {
    goal: `every loop ends within ${goal} messages, and no honest work is refused`,
    tables: [
      {
        caption: "Messages until it stops, of those who loop; – where the rule makes no difference",
        columns: [...columns, "stubborn", "stopped by"],
        rows: caught.map(({ name, free, worlds, stubborn, by }) => [
          name,
          ...worlds.map((world, n) => countCell(world, n === 0 ? undefined : free)),
          countCell(stubborn, free),
          by,
        ]),
      },
      {
        caption: "Thousands of estimated tokens until then, bytes / 4 for each who gets it",
        columns: [...columns, "stubborn"],
        rows: caught.map(({ name, free, worlds, stubborn }) => [
          name,
          ...[...worlds, stubborn].map((world, n) => tokenCell(world, n === 0 ? undefined : free)),
        ]),
      },
      {
        caption: "Refusals of honest work; the rate's are a wait of less than a second",
        columns: ["", "messages", ...columns.slice(1)],
        rows: passed.map(({ name, worlds }) => [
          name,
          (worlds.at(-1)?.messages ?? 0) + (worlds.at(-1)?.others ?? 0),
          ...worlds.map((world) => world.refusals.length),
        ]),
      },
    ],
    notes: [
      otherDice(all),
      `each loop is watched for 12 hours of its own clock (two of them for 3 and 24), or until ${mostMessages} messages; agents hear everything that is taken and answer it, whatever its kind`,
      "who is refused tries once again when it may; the stubborn one tries the same every 15 s for ever",
      `feeds of hours are tried whole with all layers, ${mostMessages} messages of them with one`,
      "1/s is the only rule of the first AgentChat",
      "in a room with a loop somebody else says something every ten minutes for two hours: not counted, and not refused",
    ],
  }
}

/** Sums up the results for other seeds in one sentence. @param {() => Rule} all */
function otherDice(all) {
  let most = 0
  let refusals = 0
  for (let seed = 2; seed <= seeds + 1; seed += 1) {
    for (const manner of /** @type {const} */ (["polite", "stubborn"])) {
      for (const trace of incidents) {
        const world = play(trace, all(), manner, seed)
        most = Math.max(most, world.messages)
        refusals += world.refusals.filter(({ isBystander }) => isBystander).length
      }
    }
    for (const trace of honestWork) refusals += playAll(trace, all(), seed).refusals.length
  }
  return `with ${seeds} other seeds: the longest loop has ${most} messages, ${refusals} refusals of bystanders and honest work`
}

/** Honest work to its end. @param {Trace} trace @param {Rule} rule @param {number} [seed] */
function playAll(trace, rule, seed = 1) {
  const world = new World({ rule, seed })
  trace.begin(world)
  world.run(trace.hours * hour)
  return world
}

/** @param {Trace} trace @param {Rule} rule @param {Manner} [manner] @param {number} [seed] */
function play(trace, rule, manner = "polite", seed = 1) {
  const world = new World({ rule, manner, seed })
  trace.begin(world)
  world.run(trace.hours * hour, mostMessages)
  return world
}

/** @param {World} world @param {World} [free] - without any rule; absent: the count, even where it is the same */
function countCell(world, free) {
  if (isNoHelp(world, free)) return "–"
  return isEndless(world) ? `${mostMessages}+` : world.messages
}

/** @param {World} world @param {World} [free] */
function tokenCell(world, free) {
  if (isNoHelp(world, free)) return "–"
  return (world.tokens / 1_000).toFixed(world.tokens < 10_000 ? 1 : 0) + (isEndless(world) ? "+" : "")
}

/** @param {World} world @param {World | undefined} free */
function isNoHelp(world, free) {
  return free !== undefined && world.messages >= 0.95 * free.messages
}

/** @param {World} world */
function isEndless(world) {
  return world.messages >= mostMessages
}

async function loadGuards() {
  const { Guard } = /** @type {typeof import("../src/guards/guard.js")} */ (
    await importBuilt("guards/guard.js")
  )
  const { defaultGuardLimits: limits } = /** @type {typeof import("../src/guards/limits.js")} */ (
    await importBuilt("guards/limits.js")
  )
  const { ruleNames: layers } = /** @type {typeof import("../src/guards/guard-message.js")} */ (
    await importBuilt("guards/guard-message.js")
  )
  return { Guard, limits, layers }
}
