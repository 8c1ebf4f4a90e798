// A small world of agents, some of which attack the rating. Fully deterministic.

/** @typedef {import("../../src/ratings/history.js").DealRecord} DealRecord */
/** @typedef {{ a: string, b: string, amount: number, outcome?: DealRecord["outcome"] }} Act - a deal between a and b */

/**
 * @typedef {object} Scenario
 * @property {string} label
 * @property {string} agent - whose rating is looked at
 * @property {number} work - completed deals, and disputed ones, that this agent, or its earlier keys, had
 * @property {readonly Act[]} acts
 */

const honestCount = 40
const backgroundDeals = 400
/** Approximate number of deals per attacker. */
const dealsEach = 60
/** Amounts of honest deals, and of deals that pretend to be honest, in turn. */
const amounts = [0, 1, 5, 20]
const inflated = 1_000_000

/** @param {number} n */
export const honestName = (n) => `honest-${n % honestCount}`

/** Returns the history before an attack: random deals among all agents, the same in every run. @returns {Act[]} */
export function backgroundActs() {
  let state = 1
  // Numerical Recipes' generator; its high bits are random enough.
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * honestCount)
  }
  return Array.from({ length: backgroundDeals }, (_, n) => {
    const a = next()
    return { a: honestName(a), b: honestName(a + 1 + (next() % (honestCount - 1))), amount: amountOf(n) }
  })
}

/** Returns the attacks, each with the one real deal that connects the attacker to the others. @returns {Scenario[]} */
export function scenarios() {
  const real = { a: "front", b: honestName(7), amount: 1 }
  return [
    scenario(
      "honest work",
      times(dealsEach, (n) => ({ a: "front", b: honestName(n * 7), amount: amountOf(n) })),
    ),
    scenario("two sock puppets", [real, ...puppets(amountOf)]),
    scenario("the same, value inflated", [real, ...puppets(() => inflated)]),
    scenario("ring of ten", [real, ...ring(10, Math.round(dealsEach / 9))]),
    scenario("majority cluster of 60", [real, ...ring(60, 1)]),
    scenario(
      "cheats one deal in three",
      cheats(() => "front", "recipient"),
    ),
    scenario(
      "the same, a new key each time",
      cheats((round) => `key-${round}`, "recipient"),
      `key-${dealsEach / 3 - 1}`,
    ),
    scenario(
      "the same, and never admits it",
      cheats(() => "front", "unresolved"),
    ),
  ]
}

/** Builds a record as a receipt yields it. @param {Act} act @param {number} n @returns {DealRecord} */
export function recordOf({ a, b, amount, outcome = "completed" }, n) {
  const hash = String(n).padStart(8, "0")
  return {
    proposal: hash,
    head: hash,
    steps: 3,
    id: hash,
    parties: [a, b],
    signedTs: [n, n],
    amount: String(amount),
    outcome,
    ts: n,
  }
}

/** @param {string} label @param {readonly Act[]} acts @param {string} agent @returns {Scenario} */
function scenario(label, acts, agent = "front") {
  const isOwn = (/** @type {string} */ name) => name === "front" || name.startsWith("key-")
  return { label, agent, work: acts.filter(({ a, b }) => isOwn(a) || isOwn(b)).length, acts }
}

/** @param {(n: number) => number} amount */
function puppets(amount) {
  return times(dealsEach - 1, (n) => ({ a: "front", b: "puppet", amount: amount(n) }))
}

/** Builds `rounds` deals between every pair. @param {number} size @param {number} rounds */
function ring(size, rounds) {
  const names = times(size, (n) => (n === 0 ? "front" : `puppet-${n}`))
  return times(rounds, (round) =>
    names.flatMap((a, i) => names.slice(i + 1).map((b, j) => ({ a, b, amount: amountOf(round + i + j) }))),
  ).flat()
}

/**
 * Repeats two good deals and one bad deal, each with another partner.
 * @param {(round: number) => string} nameIn
 * @param {DealRecord["outcome"]} outcome - of the third
 * @returns {Act[]}
 */
function cheats(nameIn, outcome) {
  return times(dealsEach, (n) => {
    const act = { a: honestName(n * 7), b: nameIn(Math.floor(n / 3)), amount: amountOf(n) }
    return n % 3 === 2 ? { ...act, outcome } : act
  })
}

/** @param {number} n */
function amountOf(n) {
  return amounts[n % amounts.length] ?? 0
}

/** @template T @param {number} count @param {(n: number) => T} make */
function times(count, make) {
  return Array.from({ length: count }, (_, n) => make(n))
}
