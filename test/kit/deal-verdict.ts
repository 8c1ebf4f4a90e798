import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { systemClock } from "../../src/base/clock.js"
import { Connection } from "../../src/client/connection.js"
import { readDealLog } from "../../src/daemon/deals/proposals-file.js"
import { canonicalize } from "../../src/identity/canonical-json.js"
import { readIdentity } from "../../src/identity/identity-file.js"
import { type Deal, dealOf } from "../../src/proposals/deal.js"
import { formatReceipt, receiptOf } from "../../src/proposals/receipt.js"
import { checkReceipt } from "../../src/proposals/receipt-check.js"
import { statementMessageId, verifyStatement } from "../../src/proposals/statement.js"
import type { Statement } from "../../src/protocol/statements.js"
import { isVerb } from "../../src/protocol/verbs.js"
import type { DealParty } from "./deal-party.js"
import type { Workspace } from "./program.js"
import { parseReceipt } from "./receipt-line.js"

/** The deals in proposals.jsonl of a party, by id. */
export function dealsOf(party: DealParty): ReadonlyMap<string, Deal> {
  const path = party.file("proposals.jsonl")
  return new Map((existsSync(path) ? readDealLog(path) : []).map(({ deal }) => [deal.id, deal]))
}

/** Returns the contradictions between the files of all homes and parties. */
export function dealFaults(homes: readonly Workspace[], parties: readonly DealParty[]): string[] {
  const known = new Map(parties.map((party) => [party, dealsOf(party)]))
  const chains = new Map<string, string>()
  const faults: string[] = []
  for (const [{ name }, deals] of known) {
    for (const { id, chain } of deals.values()) {
      const text = JSON.stringify(chain)
      if ((chains.get(id) ?? text) !== text) faults.push(`${name} has another chain of ${id}`)
      chains.set(id, text)
    }
  }
  for (const [party, deals] of known) faults.push(...lineFaults(party, deals), ...inboxFaults(party, deals))
  for (const home of homes) {
    const deals = [...known].flatMap(([{ place }, own]) => (place === home ? [...own.values()] : []))
    faults.push(...receiptFaults(home, deals))
  }
  return faults
}

/** Returns the differences between a party's deals and the relay's. Displaces the session of the party. */
export async function relayFaults(url: string, party: DealParty): Promise<string[]> {
  const identity = readIdentity(party.file("identity.json"))
  const connection = await Connection.open(
    { url, name: party.name, identity, clock: systemClock },
    { onMessage: () => {}, onClose: () => {} },
  )
  const relayDeals = new Map<string, string>()
  try {
    for (let since = 0; ; ) {
      const { list, more } = await connection.request({ type: "LIST_PROPOSALS", since })
      for (const { id, statements } of list) relayDeals.set(id, canonicalize(statements))
      if (more !== true) break
      since = list.at(-1)?.statements.at(-1)?.ts ?? 0
    }
  } finally {
    await connection.close()
  }
  const faults: string[] = []
  for (const { id, chain } of dealsOf(party).values()) {
    const text = canonicalize(chain)
    if (relayDeals.get(id) !== text)
      faults.push(`${party.name}: ${id} is ${text}, and for the relay ${relayDeals.get(id)}`)
    for (const statement of chain) verifyStatement(statement)
    relayDeals.delete(id)
  }
  return [...faults, ...Array.from(relayDeals.keys(), (id) => `${party.name} does not know ${id}`)]
}

/** Checks that proposals.jsonl has every statement once, with its own number. */
function lineFaults(party: DealParty, deals: ReadonlyMap<string, Deal>): string[] {
  const path = party.file("proposals.jsonl")
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : []
  const entries = lines.map((line) => JSON.parse(line) as { n: number; statement: Statement })
  const numbers = entries.map(({ n }) => n)
  const count = [...deals.values()].reduce((sum, { chain }) => sum + chain.length, 0)
  const isCutOff = /[^\n]$/.test(readFileSync(party.file("inbox.jsonl"), "utf8"))
  return [
    ...(isCutOff ? [`the inbox of ${party.name} ends in the middle of a line`] : []),
    ...(numbers.every((n, index) => n > (numbers[index - 1] ?? 0)) ? [] : [`${party.name}: numbers fall`]),
    ...(count === lines.length ? [] : [`${party.name} has ${lines.length} lines of ${count} statements`]),
  ]
}

/** The inbox has each step once, in the order of its deal, with the state the deal had after it. */
function inboxFaults({ name, place }: DealParty, deals: ReadonlyMap<string, Deal>): string[] {
  const lines = place.inbox(name)
  const faults = lines.every(({ seq }, index) => seq === index + 1) ? [] : [`the inbox of ${name}: order`]
  const stepsOf = new Map<string, string[]>(Array.from(deals.keys(), (id) => [id, []]))
  for (const line of lines) {
    const { type, msg_id: id, state } = line
    if (isVerb(type)) {
      const deal = String(type === "PROPOSAL" ? line["id"] : line["proposal_id"])
      stepsOf.set(deal, [...(stepsOf.get(deal) ?? []), `${String(id)} ${String(state)}`])
    } else if (type === "NOTICE" && String(line["message"]).includes("refused")) {
      faults.push(`${name}: ${String(line["message"])}`)
    }
  }
  for (const [id, steps] of stepsOf) {
    const chain = deals.get(id)?.chain ?? []
    const wanted = chain.map((statement, index) => {
      const { state } = dealOf(chain.slice(0, index + 1))
      return `${statementMessageId(statement)} ${state}`
    })
    if (String(steps) !== String(wanted)) {
      faults.push(`${name} has ${id} as ${steps.join(", ")}, not ${wanted.join(", ")}`)
    }
  }
  return faults
}

/** receipts.jsonl has what the deals of the home's daemons prove, each once. */
function receiptFaults(place: Workspace, deals: readonly Deal[]): string[] {
  const path = join(place.dir, ".agentchat", "receipts.jsonl")
  const text = existsSync(path) ? readFileSync(path, "utf8") : ""
  const lines = text.split("\n").slice(0, -1)
  const wanted = new Set(
    deals.flatMap(({ chain }) =>
      chain.flatMap((_, index) => {
        const receipt = receiptOf(dealOf(chain.slice(0, index + 1)))
        return receipt === undefined ? [] : [formatReceipt(receipt)]
      }),
    ),
  )
  const faults = text === "" || text.endsWith("\n") ? [] : ["receipts.jsonl ends in the middle of a line"]
  if (lines.length !== new Set(lines).size) faults.push("a receipt is duplicated")
  for (const line of lines) {
    if (!wanted.delete(line)) faults.push(`not wanted: ${line.slice(0, 200)}`)
    else if (checkReceipt(parseReceipt(line)).status !== "valid")
      faults.push(`invalid: ${line.slice(0, 200)}`)
  }
  return [...faults, ...Array.from(wanted, (line) => `missing: ${line.slice(0, 200)}`)]
}
