/** Why a rating is what it is, in words and as JSON. */
import { formatForTerminal } from "../base/visible-text.js"
import { isoTime } from "./iso-time.js"
import type { Explanation } from "./ratings-insight.js"
import { formatTrust, roundTrust } from "./ratings-view.js"
import { formatTable } from "./table.js"

/** A table of the deals. @param idOf - agent id of a did:key */
export function formatExplanations(
  explanations: readonly Explanation[],
  idOf: (did: string) => string,
): string[] {
  if (explanations.length === 0) return ["No receipt tells of this agent."]
  const rows = explanations.map((explanation) => {
    const { deal, counterparty, move } = explanation
    const change = move === undefined ? "" : signed(move.after - move.before)
    const rating = move === undefined ? "" : `${move.before} → ${move.after}`
    const id = formatForTerminal(deal.id)
    return [
      isoTime(deal.ts),
      change,
      rating,
      idOf(counterparty),
      outcomeOf(explanation),
      id,
      madeOf(explanation),
    ]
  })
  return formatTable(["WHEN", "CHANGE", "RATING", "WITH", "OUTCOME", "PROPOSAL", "MADE OF"], rows)
}

/** The same as JSON. */
export function explanationDocuments(explanations: readonly Explanation[], idOf: (did: string) => string) {
  return explanations.map((explanation) => {
    const { deal, counterparty, move } = explanation
    return {
      proposal_id: deal.id,
      proposal: deal.proposal,
      with: idOf(counterparty),
      outcome: outcomeOf(explanation),
      ts: deal.ts,
      change: move === undefined ? 0 : move.after - move.before,
      ...(move === undefined ? {} : detailsOf(move)),
    }
  })
}

function detailsOf({ before, after, k, weight, expected, nth, trust }: NonNullable<Explanation["move"]>) {
  const made = { before, after, k, weight, expected, nth_of_pair: nth }
  return trust === undefined ? made : { ...made, trust: roundTrust(trust) }
}

function outcomeOf({ deal: { outcome, parties }, counterparty }: Explanation): string {
  if (outcome === "completed") return "completed"
  if (outcome === "unresolved" || outcome === "mutual") return `disputed, ${outcome}`
  const atFault = parties[outcome === "proposer" ? 0 : 1]
  return atFault === counterparty ? "disputed, other at fault" : "disputed, at fault"
}

function madeOf({ move }: Explanation): string {
  if (move === undefined) return "no fault agreed on: counts nothing"
  const { k, weight, expected, nth, trust } = move
  const parts = [`K ${k}`, `weight ${weight.toFixed(2)}`, `expected ${expected.toFixed(2)}`]
  if (nth > 1) parts.push(`deal ${nth} of the pair`)
  if (trust !== undefined) parts.push(`trust ${formatTrust(trust)}`)
  return parts.join(", ")
}

function signed(change: number): string {
  return change < 0 ? String(change) : `+${change}`
}
