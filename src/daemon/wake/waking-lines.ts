import { isQuiet } from "../../protocol/message-kinds.js"
import type { Attention, ChannelAttention } from "../../protocol/wake.js"

type Members = Readonly<Record<string, unknown>>

/** How much a line concerns the agent: `direct` is for it alone, `mention` names it, `ambient` is for a whole channel. */
export type Concern = "direct" | "mention" | "ambient"

/** The lines that an agent lets wake it. */
export interface Attentions {
  readonly attention: Attention
  readonly channel: (name: string) => ChannelAttention
}

/** Types of lines that are for the agent alone and that another agent wrote. */
const directTypes: ReadonlySet<unknown> = new Set([
  "TASK",
  ...["PROPOSAL", "ACCEPT", "REJECT", "COMPLETE", "DISPUTE"],
])

/**
 * Returns how much an inbox line concerns the agent; undefined for one that wakes nobody: history, its own lines, messages
 * of a quiet kind, those that mention others only, and everything that is no message.
 * @param self - the own agent id
 */
export function concernOf(
  { type, from, to, kind, replay, self: isOwn, mentions }: Members,
  self: string,
): Concern | undefined {
  if (isOwn === true || from === self) return undefined
  if (directTypes.has(type)) return "direct"
  const isQuietKind = typeof kind === "string" && isQuiet(kind)
  if (type !== "MSG" || replay === true || isQuietKind) return undefined
  return concernOfMessage(to, mentions, self)
}

function concernOfMessage(to: unknown, mentions: unknown, self: string): Concern | undefined {
  if (typeof to !== "string") return undefined
  if (!to.startsWith("#")) return "direct"
  if (!Array.isArray(mentions) || mentions.length === 0) return "ambient"
  return mentions.includes(self) ? "mention" : undefined
}

/** Reports whether an agent with this attention is woken for a line. */
export function mayWake(concern: Concern, to: unknown, { attention, channel }: Attentions): boolean {
  if (attention === "dnd" || (attention === "focus" && concern === "ambient")) return false
  const ofChannel = concern === "direct" ? "open" : channel(String(to))
  return ofChannel === "open" || (ofChannel === "quiet" && concern === "mention")
}
