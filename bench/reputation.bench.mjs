// Measures what attacks on a rating gain compared with honest work: with plain Elo, with our rules, and as seen by an agent that trusts three others.
import { importBuilt } from "./kit/built.mjs"
import { backgroundActs, honestName, recordOf, scenarios } from "./load/reputation.mjs"

/** @typedef {import("../src/ratings/history.js").DealRecord} DealRecord */
/** @typedef {(history: readonly DealRecord[]) => { rating: (agent: string) => number, trust?: (agent: string) => number }} Rule */

const startRating = 1_200

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export async function run() {
  const rules = Object.values(await loadRules())
  const background = backgroundActs()
  const found = scenarios().map(({ label, agent, work, acts }) => {
    const history = [...background, ...acts].map(recordOf)
    const views = rules.map((rule) => rule(history))
    const gains = views.map(({ rating }) => rating(agent) - startRating)
    return { label, work, gains, trust: views.at(-1)?.trust?.(agent) ?? 0 }
  })
  const perDeal = found.map(({ work, gains }) => gains.map((gain) => gain / work))
  const honest = perDeal[0] ?? []
  return {
    goal: "puppets and new keys earn less than a tenth of what honest work does, for who trusts three agents",
    tables: [
      {
        caption:
          "Points above 1200, and points for each deal; trust that reaches the agent from the three, 0 to 1",
        columns: ["", "deals", "plain Elo", "a deal", "ours", "a deal", "trusting three", "a deal", "trust"],
        rows: found.map(({ label, work, gains, trust }, row) => {
          const cells = gains.flatMap((gain, i) => [gain, (perDeal[row]?.[i] ?? 0).toFixed(2)])
          return [label, work, ...cells, trust.toFixed(3)]
        }),
      },
      {
        caption: "The same for each deal, where honest work is 1",
        columns: ["", "plain Elo", "ours", "trusting three"],
        rows: found.map(({ label }, row) => [
          label,
          ...honest.map((unit, i) => ((perDeal[row]?.[i] ?? 0) / unit).toFixed(2)),
        ]),
      },
    ],
    notes: [
      "before: 400 deals among 40 honest agents, at random but the same each time; the observer trusts three of them",
      "plain Elo: both gain max(1, round(K · w · (1 − E))), whoever they are and however often they have met",
      "every fake deal is signed by both of its parties, as a receipt must be; each attacker but the cheats has one real deal, its first",
      "work is deals, and a fake one costs nothing but two signatures: what honest work costs is not in these figures",
      "a cluster buys a rating by ours too: a number for all can tell how often somebody dealt, not with whom; that is what --trusting is for",
      "an agent that never admits a fault loses nothing: the deal does not count, and --explain shows it as unresolved",
    ],
  }
}

async function loadRules() {
  const { foldRatings } = /** @type {typeof import("../src/ratings/fold.js")} */ (
    await importBuilt("ratings/fold.js")
  )
  const { trustFrom } = /** @type {typeof import("../src/ratings/trust.js")} */ (
    await importBuilt("ratings/trust.js")
  )
  const elo = /** @type {typeof import("../src/ratings/fold.js")} */ (await importBuilt("ratings/fold.js"))
  const named = [0, 1, 2].map(honestName)
  /** @param {readonly DealRecord[]} history @param {((did: string) => number)} [trustIn] */
  const ratingsOf = (history, trustIn) => {
    const standings = foldRatings(history, { trustIn })
    return (/** @type {string} */ agent) => standings.get(agent)?.rating ?? startRating
  }
  return {
    /** @type {Rule} */
    plain: (history) => ({ rating: plainRatings(history, elo) }),
    /** @type {Rule} */
    ours: (history) => ({ rating: ratingsOf(history) }),
    /** @type {Rule} */
    trusting(history) {
      const trust = trustFrom(named, history)
      return { rating: ratingsOf(history, trust), trust }
    },
  }
}

/** Lowest rating, as in src/ratings/fold.ts. */
const minRating = 100

/**
 * The rating rule of the first AgentChat.
 * @param {readonly DealRecord[]} history
 * @param {typeof import("../src/ratings/fold.js")} elo
 */
function plainRatings(history, elo) {
  /** @type {Map<string, { rating: number, transactions: number }>} */
  const players = new Map()
  const playerOf = (/** @type {string} */ name) =>
    players.get(name) ?? { rating: startRating, transactions: 0 }
  for (const { parties, amount, outcome } of history) {
    if (outcome === "unresolved") continue
    const [proposer, recipient] = [playerOf(parties[0]), playerOf(parties[1])]
    const after = [proposer, recipient].map(({ rating, transactions }, i) => {
      const other = i === 0 ? recipient : proposer
      const points = elo.kFactor(transactions) * elo.taskWeight(amount)
      const expected = elo.expectedScore(rating, other.rating)
      const loses = outcome === "mutual" || outcome === (i === 0 ? "proposer" : "recipient")
      const change = Math.max(1, Math.round(points * (loses ? expected : 1 - expected)))
      return {
        rating: Math.max(minRating, rating + (loses ? -change : change)),
        transactions: transactions + 1,
      }
    })
    for (const [i, player] of after.entries()) players.set(parties[i === 0 ? 0 : 1], player)
  }
  return (/** @type {string} */ agent) => playerOf(agent).rating
}
