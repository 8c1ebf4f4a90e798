/** Decides which lines of an inbox are news for its agent, and which of them are meant for it. */
import { isQuiet } from "../../protocol/message-kinds.js"
import { isVerb } from "../../protocol/verbs.js"

type Members = Readonly<Record<string, unknown>>

const notNews = new Set(["AGENT_JOINED", "AGENT_LEFT", "INBOX_ROTATED"])
/** Types that are about the agent, whatever their fields say. */
const forAgent = new Set(["TASK", "TASK_LOST", "INVITE", "REJECTED"])

/** Reports whether a line is news: no join or leave, and no message of a kind that wakes nobody. */
export function isNews({ type, kind }: Members): boolean {
  if (typeof type === "string" && notNews.has(type)) return false
  return type !== "MSG" || !isQuiet(typeof kind === "string" ? kind : undefined)
}

/**
 * Reports whether a line is news meant for its agent: a direct message, a mention, a task, an invitation or a step of a
 * deal. The replay of earlier messages and the agent's own lines are not.
 * @param self - the agent's id
 */
export function isAddressed(line: Members, self: string | null | undefined): boolean {
  const { type, to, mentions, replay, self: isOwn } = line
  if (replay === true || isOwn === true || typeof type !== "string" || !isNews(line)) return false
  if (type !== "MSG") return forAgent.has(type) || isVerb(type)
  return String(to).startsWith("@") || (Array.isArray(mentions) && mentions.includes(self))
}
