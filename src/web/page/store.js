// The state of the page: what the server sent last, and the changes since.

/** @typedef {import("../shapes.js").PageState} PageState */
/** @typedef {import("../shapes.js").Change} Change */

/**
 * Returns the state after a change.
 * @param {PageState} state
 * @param {Change} change
 * @returns {PageState}
 */
export function applyChange(state, change) {
  const {
    agents,
    goneAgents,
    conversations,
    goneConversations,
    messages: _,
    manyMessages: __,
    now: ___,
    ...whole
  } = change
  return {
    ...state,
    ...whole,
    agents: merge(state.agents, agents, goneAgents, ({ id }) => id),
    conversations: merge(state.conversations, conversations, goneConversations, ({ key }) => key),
  }
}

/**
 * @template R
 * @param {readonly R[]} rows
 * @param {readonly R[] | undefined} changed
 * @param {readonly string[] | undefined} gone
 * @param {(row: R) => string} keyOf
 * @returns {readonly R[]}
 */
function merge(rows, changed = [], gone = [], keyOf) {
  if (changed.length === 0 && gone.length === 0) return rows
  const byKey = new Map(rows.map((row) => [keyOf(row), row]))
  for (const key of gone) byKey.delete(key)
  for (const row of changed) byKey.set(keyOf(row), row)
  return [...byKey.values()]
}

/** States of agents in the order in which a person looks at them. */
export const agentStates = /** @type {const} */ (["waiting", "working", "stale", "idle", "away", "offline"])

/**
 * Returns the agents in the order of their state, then by name.
 * @param {PageState["agents"]} agents
 */
export function sortAgents(agents) {
  const rank = new Map(agentStates.map((state, index) => [state, index]))
  return agents.toSorted(
    (a, b) =>
      (rank.get(a.state) ?? 9) - (rank.get(b.state) ?? 9) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  )
}

/**
 * Returns the conversations: channels by name, then threads with agents, the newest first.
 * @param {PageState["conversations"]} conversations
 */
export function sortConversations(conversations) {
  const channels = conversations.filter(({ key }) => key.startsWith("#"))
  const threads = conversations.filter(({ key }) => !key.startsWith("#"))
  return [
    ...channels.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    ...threads.toSorted((a, b) => b.lastTs - a.lastTs),
  ]
}

/**
 * Adds messages to those that are shown, oldest first, each once. A message that is known is replaced.
 * @param {readonly import("../shapes.js").MessageRow[]} shown
 * @param {readonly import("../shapes.js").MessageRow[]} more
 */
export function mergeMessages(shown, more) {
  const byId = new Map(shown.map((message) => [message.id, message]))
  for (const message of more) byId.set(message.id, message)
  return [...byId.values()].sort((a, b) =>
    a.seq !== undefined && b.seq !== undefined ? a.seq - b.seq : a.ts - b.ts,
  )
}

/**
 * Returns a message and all that answer it, directly or not, oldest first.
 * @param {readonly import("../shapes.js").MessageRow[]} messages - oldest first
 * @param {string} root
 */
export function threadOf(messages, root) {
  const ids = new Set([root])
  return messages.filter(({ id, re }) => {
    if (re !== undefined && ids.has(re)) ids.add(id)
    return ids.has(id)
  })
}
