/** The deals that the page shows, their proofs and the ratings that follow from them. */
import { LruMap } from "../base/lru-map.js"
import { type Deal, dealOf, dealRules, disputableUntil, expiryOf, stateAt } from "../proposals/deal.js"
import { agentIdOfDid, readStatement, verifyStatement } from "../proposals/statement.js"
import { ChatError } from "../protocol/errors.js"
import type { ProposalEntry } from "../protocol/server-messages.js"
import type { Statement } from "../protocol/statements.js"
import type { Verb } from "../protocol/verbs.js"
import { foldRatings } from "../ratings/fold.js"
import { historyOf, recordOf } from "../ratings/history.js"
import type { DealRow, RatingRow, StatementRow, Verdict } from "./shapes.js"

/** Most deals that are kept, the ones that changed last. */
const maxDeals = 1_000
/** Points of a rating curve, the newest. */
const maxPoints = 200

interface Known {
  readonly deal: Deal
  readonly names: Readonly<Record<string, string>>
}

/** Deals, each a legal chain of statements. */
export class DealBook {
  readonly #deals = new LruMap<string, Known>(maxDeals)

  /**
   * Takes a deal as the relay lists it, if it is longer than the known one and every signature of it is valid.
   * @returns whether it was taken
   */
  take({ id, statements, names }: ProposalEntry): boolean {
    const known = this.#deals.peek(id)
    if (known !== undefined && known.deal.chain.length >= statements.length) return false
    try {
      const deal = dealOf(statements.map((each) => readStatement(each)))
      for (const statement of deal.chain.slice(known?.deal.chain.length ?? 0)) verifyStatement(statement)
      this.#deals.set(id, { deal, names })
      return true
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      return false
    }
  }

  /** Returns the time of the last statement of all. */
  get lastTs(): number {
    let last = 0
    for (const [, { deal }] of this.#deals) last = Math.max(last, deal.chain.at(-1)?.ts ?? 0)
    return last
  }

  /** Returns all deals, the one that changed last first. @param nameOf - name of an agent that has signed nothing yet */
  rows(me: string, now: number, nameOf: (id: string) => string | undefined): DealRow[] {
    const rows = Array.from(this.#deals, ([, known]) => rowOf(known, { me, now, nameOf }))
    return rows.sort((a, b) => b.lastTs - a.lastTs)
  }

  find(id: string): Deal | undefined {
    return this.#deals.peek(id)?.deal
  }

  /** Checks the signature of every statement of a deal; undefined if the deal is not known. */
  verify(id: string): Verdict[] | undefined {
    return this.find(id)?.chain.map((statement) => {
      const { type, ts } = statement
      const base = { id: statement.id, type, from: agentIdOfDid(statement.from), ts }
      try {
        verifyStatement(statement)
        return { ...base, ok: true }
      } catch (error) {
        if (!(error instanceof ChatError)) throw error
        return { ...base, ok: false, problem: error.message }
      }
    })
  }

  /** Returns the ratings that follow from the finished deals, best first. @param nameOf - name of an agent */
  ratings(nameOf: (id: string) => string | undefined): RatingRow[] {
    const finished = Array.from(this.#deals, ([, { deal }]) => deal).filter(
      ({ state }) => state === "completed" || state === "disputed",
    )
    const points = new Map<string, { ts: number; rating: number }[]>()
    const standings = foldRatings(historyOf(finished.map(recordOf)), {
      onMove: ({ agent, deal, after }) => {
        const list = points.get(agent) ?? []
        list.push({ ts: deal.ts, rating: Math.round(after) })
        points.set(agent, list.slice(-maxPoints))
      },
    })
    const rows = Array.from(standings, ([did, { rating, transactions }]) => {
      const id = agentIdOfDid(did)
      const name = nameOf(id) ?? id.slice(1)
      return { id, name, rating: Math.round(rating), deals: transactions, points: points.get(did) ?? [] }
    })
    return rows.sort((a, b) => b.rating - a.rating)
  }
}

/** The agent for which a row is made, and when. */
interface Viewer {
  readonly me: string
  readonly now: number
  readonly nameOf: (id: string) => string | undefined
}

function rowOf({ deal, names }: Known, { me, now, nameOf: known }: Viewer): DealRow {
  const [proposal] = deal.chain
  const { task, amount, currency, terms } = proposal
  const nameOf = (did: string) => {
    const id = agentIdOfDid(did)
    return (Object.hasOwn(names, id) ? names[id] : known(id)) ?? id.slice(1)
  }
  const price = amount === undefined ? undefined : `${amount} ${currency ?? ""}`.trim()
  return {
    id: deal.id,
    state: stateAt(deal, now),
    task,
    ...(price !== undefined && { price }),
    ...(terms !== undefined && { terms }),
    expiresTs: expiryOf(deal),
    lastTs: deal.chain.at(-1)?.ts ?? 0,
    parties: [proposal.from, proposal.to].map((did) => ({ id: agentIdOfDid(did), name: nameOf(did) })),
    statements: deal.chain.map((statement) => statementRowOf(statement, nameOf(statement.from))),
    actions: actionsOf(deal, me, now),
  }
}

function statementRowOf(statement: Statement, name: string): StatementRow {
  const { id, type, ts } = statement
  return { id, type, from: agentIdOfDid(statement.from), name, ts, text: textOf(statement) }
}

function textOf(statement: Statement): string {
  switch (statement.type) {
    case "PROPOSAL":
      return statement.task
    case "ACCEPT":
      return ""
    case "REJECT":
      return statement.reason ?? ""
    case "COMPLETE":
      return statement.proof ?? ""
    case "DISPUTE":
      return statement.reason
  }
}

/** Returns what a party may state now. */
function actionsOf(deal: Deal, me: string, now: number): Exclude<Verb, "PROPOSAL">[] {
  const [proposal] = deal.chain
  const [from, to] = [agentIdOfDid(proposal.from), agentIdOfDid(proposal.to)]
  if (me !== from && me !== to) return []
  const hasMade = (verb: Verb) =>
    deal.chain.some((each) => each.type === verb && agentIdOfDid(each.from) === me)
  const until = { expires: expiryOf(deal), dispute_window: disputableUntil(deal) ?? Infinity }
  const state = stateAt(deal, now)
  return dealRules
    .filter((rule) => rule.state === state && !(rule.until !== undefined && now > until[rule.until]))
    .filter(({ by, verb }) => (by === "recipient" ? me === to : !hasMade(verb)))
    .map(({ verb }) => verb)
}
