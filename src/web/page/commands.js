// The commands that a person types after `:`.

/**
 * @typedef {{ kind: "do", action: string, body: Record<string, string | number> }
 *   | { kind: "view", view: string }
 *   | { kind: "conversation", key: string }
 *   | { kind: "language", language: string }
 *   | { kind: "theme", theme: string }
 *   | { kind: "search", text: string }
 *   | { kind: "help" }
 *   | { kind: "problem", word: string, usage?: string }} Command
 */

/** Every command with how it is written. */
export const commandUsages = /** @type {const} */ ({
  open: "open #channel | open @agent",
  send: "send #channel|@agent|+role TEXT",
  answer: "answer TASK TEXT",
  accept: "accept DEAL",
  reject: "reject DEAL [REASON]",
  complete: "complete DEAL [PROOF]",
  dispute: "dispute DEAL REASON",
  create: "create #channel",
  kick: "kick #channel @agent [1h] REASON",
  mute: "mute @agent [1h] REASON",
  unmute: "unmute @agent REASON",
  close: "close #channel REASON",
  reopen: "reopen #channel REASON",
  reset: "reset [SCOPE]",
  search: "search TEXT",
  view: "view agents|talk|work|guards",
  lang: "lang en|zh",
  theme: "theme dark|light|auto",
  help: "help",
})

const durations = /** @type {Record<string, number>} */ ({ s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 })

/** @param {string} text @returns {number | undefined} milliseconds */
function durationOf(text) {
  const [, count, unit = ""] = /^(\d{1,5})([smhd])$/.exec(text) ?? []
  return count === undefined ? undefined : Number(count) * (durations[unit] ?? 0)
}

/**
 * Splits the first word off.
 * @param {string} text
 * @returns {[string, string]}
 */
function split(text) {
  const [, word = "", rest = ""] = /^(\S*)\s*([\s\S]*)$/.exec(text) ?? []
  return [word, rest]
}

/**
 * Parses a typed command, with or without its colon.
 * @param {string} line
 * @returns {Command}
 */
export function parseCommand(line) {
  const [word, rest] = split(line.trim().replace(/^:/, "").trimStart())
  const command = Object.hasOwn(readers, word) ? readers[word]?.(rest) : undefined
  if (command !== undefined) return command
  const usage = Object.entries(commandUsages).find(([name]) => name === word)?.[1]
  return usage === undefined ? { kind: "problem", word } : { kind: "problem", word, usage }
}

/** Readers return undefined for what is not complete. @type {Record<string, (rest: string) => Command | undefined>} */
const readers = {
  open: (rest) => (/^[#@]\S+$/.test(rest) ? { kind: "conversation", key: rest } : undefined),
  send(rest) {
    const [to, text] = split(rest)
    return /^[#@+]./.test(to) && text !== "" ? doing("send", { to, text }) : undefined
  },
  answer(rest) {
    const [task, text] = split(rest)
    return text === "" ? undefined : doing("answer", { task, text })
  },
  accept: (rest) => deal("ACCEPT", rest),
  reject: (rest) => deal("REJECT", rest),
  complete: (rest) => deal("COMPLETE", rest),
  dispute: (rest) => (split(rest)[1] === "" ? undefined : deal("DISPUTE", rest)),
  create: (channel) => (/^#\S+$/.test(channel) ? doing("create", { channel }) : undefined),
  kick(rest) {
    const [channel, others] = split(rest)
    const [agent, more] = split(others)
    return /^#./.test(channel) && /^@./.test(agent) ? moderation("kick", { channel, agent }, more) : undefined
  },
  mute: (rest) => ofAgent("mute", rest),
  unmute: (rest) => ofAgent("unmute", rest),
  close: (rest) => ofChannel("close", rest),
  reopen: (rest) => ofChannel("reopen", rest),
  reset: (scope) => doing("reset", scope === "" ? {} : { scope }),
  search: (text) => ({ kind: "search", text }),
  view: (view) => (["agents", "talk", "work", "guards"].includes(view) ? { kind: "view", view } : undefined),
  lang: (language) => (["en", "zh"].includes(language) ? { kind: "language", language } : undefined),
  theme: (theme) => (["dark", "light", "auto"].includes(theme) ? { kind: "theme", theme } : undefined),
  help: () => ({ kind: "help" }),
}

/** @param {string} action @param {Record<string, string | number>} body @returns {Command} */
function doing(action, body) {
  return { kind: "do", action, body }
}

/** @param {string} verb @param {string} rest @returns {Command | undefined} */
function deal(verb, rest) {
  const [id, text] = split(rest)
  if (id === "") return undefined
  return doing("decide", { deal: id, verb, ...(text !== "" && { text }) })
}

/** @param {string} action @param {string} rest */
function ofAgent(action, rest) {
  const [agent, more] = split(rest)
  return /^@./.test(agent) ? moderation(action, { agent }, more) : undefined
}

/** @param {string} action @param {string} rest */
function ofChannel(action, rest) {
  const [channel, reason] = split(rest)
  return /^#./.test(channel) && reason !== "" ? doing("moderate", { action, channel, reason }) : undefined
}

/**
 * @param {string} action
 * @param {Record<string, string>} target
 * @param {string} rest - the reason, after a duration if there is one
 * @returns {Command | undefined}
 */
function moderation(action, target, rest) {
  const [first, others] = split(rest)
  const forMs = action === "unmute" ? undefined : durationOf(first)
  const reason = forMs === undefined ? rest : others
  return reason === "" ? undefined : doing("moderate", { action, ...target, reason, ...(forMs && { forMs }) })
}
