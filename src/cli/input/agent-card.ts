/** What an agent tells of itself, for others to choose by. */
import { formatForTerminal } from "../../base/visible-text.js"
import type { RosterEntry } from "../../protocol/server-messages.js"

/** What every card has, whatever the agent left out. */
function factsOf({ id, name, role, card = {} }: RosterEntry) {
  const { kind = "agent", description = "", tags = [], skills = [], meta = {} } = card
  return { id, name, kind, role: role ?? null, description, tags, skills, meta }
}

/** A roster entry with the fields of its card beside its own. */
export function entryWithCard(entry: RosterEntry) {
  const { card: _card, ...others } = entry
  return { ...others, ...factsOf(entry) }
}

const modes = ["text/plain", "application/json"] as const

/**
 * An AgentCard in the shape of A2A 0.3 §5.5, with our own `id`, `kind`, `role`, `tags` and `meta` beside it.
 * `url` is there only if the agent has one: it is reached through the relay.
 */
export function a2aCard(entry: RosterEntry) {
  const { version = "0.0.0", url } = entry.card ?? {}
  const facts = factsOf(entry)
  return {
    ...facts,
    version,
    ...(url === undefined ? {} : { url }),
    capabilities: {},
    defaultInputModes: modes,
    defaultOutputModes: modes,
    skills: facts.skills.map((skill) => ({
      ...skill,
      description: skill.description ?? "",
      tags: skill.tags ?? [],
    })),
  }
}

/** The card for a person; every text of the agent neutralised. */
export function describeCard(entry: RosterEntry): string[] {
  const card = a2aCard(entry)
  const rows: readonly (readonly [string, string])[] = [
    ["agent", `${card.id}, called ${card.name}`],
    ["kind", card.role === null ? card.kind : `${card.kind}, ${card.role}`],
    ["is", entry.activity === undefined ? entry.status : `${entry.status}: ${entry.activity}`],
    ["says", card.description],
    ["version", entry.card?.version ?? ""],
    ["url", card.url ?? ""],
    ["tags", card.tags.join(" ")],
    ...card.skills.map(({ id, name, description }) => ["skill", `${id}: ${name}. ${description}`] as const),
    ["meta", Object.keys(card.meta).length === 0 ? "" : JSON.stringify(card.meta)],
  ]
  return rows
    .filter(([, text]) => text !== "")
    .map(([label, text]) => `${label.padEnd(8)} ${formatForTerminal(text)}`)
}
