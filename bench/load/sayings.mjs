// Messages as a relay passes them to its guards: deterministic, all different.
import { chance } from "./loop-world.mjs"

/** @typedef {import("../../src/guards/guard-message.js").GuardMessage} Said */

/**
 * @typedef {object} Setting
 * @property {string} label
 * @property {number} agents
 * @property {number} bytes - of each text
 * @property {number} count - messages of a round
 * @property {boolean} isDirect - each to one other agent; else in a channel
 * @property {number} [rooms] - channels; 1
 */

/** @type {readonly Setting[]} */
export const settings = [
  { label: "a channel of 10", agents: 10, bytes: 200, count: 2_000, isDirect: false },
  { label: "a channel of 1,000", agents: 1_000, bytes: 200, count: 2_000, isDirect: false },
  { label: "two agents, directly", agents: 2, bytes: 200, count: 2_000, isDirect: true },
  { label: "1,000 agents, directly", agents: 1_000, bytes: 200, count: 2_000, isDirect: true },
  { label: "a channel of 10, 16 KiB each", agents: 10, bytes: 16_384, count: 100, isDirect: false },
]

const startTs = 1_800_000_000_000
const vocabulary = Array.from({ length: 3_000 }, (_, n) =>
  (Math.imul(n + 1, 2_654_435_761) >>> 0).toString(36).slice(0, 2 + (n % 6)),
)

/** Counts across all messages, so that no id repeats. */
let made = 0

/** @param {number} n */
export function agentName(n) {
  return `@agent${n}-0123456789abcdef`
}

/** @param {Setting} setting @param {number} count @returns {Said[]} */
export function messagesAmong({ agents, bytes, isDirect, rooms = 1 }, count) {
  const random = chance(made + 1)
  const below = (/** @type {number} */ n) => Math.floor(random() * n)
  return Array.from({ length: count }, () => {
    const author = below(agents)
    const from = agentName(author)
    const to = agentName((author + 1 + below(agents - 1)) % agents)
    made += 1
    return {
      id: `${from.slice(1)}.m${made}`,
      ts: startTs + made * 20,
      from,
      channel: isDirect ? [from, to].sort().join(" ") : `#room${below(rooms)}`,
      to: isDirect ? [to] : [],
      text: textOf(bytes, () => vocabulary[below(vocabulary.length)] ?? ""),
      bytes,
    }
  })
}

/** @param {number} bytes @param {() => string} word */
function textOf(bytes, word) {
  let text = ""
  while (text.length < bytes) text += `${word()} `
  return text.slice(0, bytes)
}
