import type { Connection } from "../../client/connection.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { SafeBatch } from "../inbox/group-commit.js"
import type { Bookmark, Bookmarks } from "./bookmarks.js"
import type { ReadReceipts } from "./read-receipts.js"

/** What the inbox hands back once the line of a message is on disk. */
export type Mark = { readonly direct: string; readonly isOwn?: boolean } | Bookmark

/** @returns what to confirm when the message is on disk; undefined when nothing is */
export function markOf(message: ServerMessage, serverId: string): Mark | undefined {
  if (message.type === "TASK") return { direct: message.task }
  if (message.type !== "MSG") return undefined
  if (!message.to.startsWith("#")) return { direct: message.msg_id }
  return message.seq === undefined ? undefined : { serverId, channel: message.to, seq: message.seq }
}

/** Tells the relay what is safely on disk, keeps the place in each channel, and what a reader is to take. */
export function confirm(
  { marks, seqs }: Pick<SafeBatch, "marks" | "seqs">,
  { bookmarks, unread }: { bookmarks: Bookmarks; unread: Pick<ReadReceipts, "add"> },
  session: Connection | undefined,
): void {
  const ids: string[] = []
  const places = new Map<string, Bookmark>()
  for (const [index, mark] of (marks as readonly Mark[]).entries()) {
    const seq = seqs[index]
    if ("direct" in mark) {
      ids.push(mark.direct)
      // What one said oneself is nothing to be read.
      if (seq !== undefined && mark.isOwn !== true) unread.add(seq, mark.direct)
    } else if (mark.seq >= (places.get(mark.channel)?.seq ?? 0)) places.set(mark.channel, mark)
  }
  bookmarks.advance([...places.values()])
  if (session === undefined) return
  const current = [...places.values()].filter(({ serverId }) => serverId === session.welcome.server_id)
  const upTo = Object.fromEntries(current.map(({ channel, seq }) => [channel, seq]))
  session.send({
    type: "RECEIVED",
    ...(ids.length > 0 && { ids }),
    ...(current.length > 0 && { up_to: upTo }),
  })
}
