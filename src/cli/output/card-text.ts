/** The card of an agent, as JSON and as text. */
import { formatForTerminal } from "../../base/visible-text.js"
import type { RosterEntry } from "../../protocol/server-messages.js"

/** Returns the fields of a card, with defaults for those the agent left out. */
function cardFields({ id, name, role, card = {} }: RosterEntry) {
  const { kind = "agent", description = "", tags = [], skills = [], meta = {} } = card
  return { id, name, kind, role: role ?? null, description, tags, skills, meta }
}

/** Returns a roster entry with the fields of its card added. */
export function entryWithCard(entry: RosterEntry) {
  const { card: _card, ...others } = entry
  return { ...others, ...cardFields(entry) }
}

const modes = ["text/plain", "application/json"] as const

/**
 * Returns an AgentCard as in A2A 0.3 §5.5, plus our `id`, `kind`, `role`, `tags` and `meta`. It has a `url` only if the
 * agent gave one; an agent is reached through the relay.
 */
export function a2aCard(entry: RosterEntry) {
  const { version = "0.0.0", url } = entry.card ?? {}
  const fields = cardFields(entry)
  return {
    ...fields,
    version,
    ...(url === undefined ? {} : { url }),
    capabilities: {},
    defaultInputModes: modes,
    defaultOutputModes: modes,
    skills: fields.skills.map((skill) => ({
      ...skill,
      description: skill.description ?? "",
      tags: skill.tags ?? [],
    })),
  }
}

/** Returns the lines of a card for a person, with the agent's texts escaped. */
export function describeCard(entry: RosterEntry): string[] {
  const card = a2aCard(entry)
  const rows: readonly (readonly [string, string])[] = [
    ["agent", `${card.id}, called ${card.name}`],
    ["kind", card.role === null ? card.kind : `${card.kind}, ${card.role}`],
    ["status", entry.activity === undefined ? entry.status : `${entry.status}: ${entry.activity}`],
    ["about", card.description],
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
