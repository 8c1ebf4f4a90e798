import type { Clock } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import type { Connection } from "../../client/connection.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { DirectoryChange } from "../files/directory-change.js"
import type { DurableBatch } from "../inbox/group-commit.js"
import { readDirectId, readSeq } from "../inbox/line.js"
import {
  type ContextDoor,
  contextDoorOf,
  hasLine,
  listCursors,
  type ReaderPosition,
} from "../inbox/reader-cursor.js"
import type { Bookmark, Bookmarks } from "./bookmarks.js"
import type { DaemonMemory } from "./daemon-memory.js"

/** Direct messages and tasks that wait for a reader; no receipt is sent for older ones. */
const maxUnread = 4_000
/** Ids in one RECEIVED frame. */
const idsPerFrame = 1_000
/** Receipts at most this many milliseconds old are sent again on the next session: they may not have arrived. */
const repeatMs = 600_000

/**
 * Travels with a line through the inbox and says what to confirm to the relay once the line is on disk: the id of a
 * direct message or task, or the position in a channel. `isOwn` marks a line that needs no read receipt.
 */
export type Mark = { readonly direct: string; readonly isOwn?: boolean } | Bookmark

/** Returns the mark of a message; undefined if the relay expects no confirmation. */
export function markOf(message: ServerMessage, serverId: string): Mark | undefined {
  if (message.type === "TASK") return message.offered === true ? undefined : { direct: message.task }
  const isNotice = message.type === "INVITE" || message.type === "TASK_EXPIRED"
  if (isNotice && message.msg_id !== undefined) return { direct: message.msg_id, isOwn: true }
  if (message.type !== "MSG") return undefined
  if (!message.to.startsWith("#")) return { direct: message.msg_id }
  return message.seq === undefined ? undefined : { serverId, channel: message.to, seq: message.seq }
}

/** A direct message or task that no model is known to have. */
interface Unread {
  readonly id: string
  /** True once a reader's receipt was sent. */
  isTaken: boolean
}

interface SentReceipt {
  readonly atMs: number
  readonly receipt: ClientFrame<"RECEIVED">
}

/** Options of {@link ReadReceipts}. */
export interface ReadReceiptsOptions {
  /** Directory of the readers' cursors. */
  readonly cursors: string
  readonly bookmarks: Pick<Bookmarks, "advance">
  readonly memory: DaemonMemory
  readonly clock: Pick<Clock, "monotonic">
}

/**
 * Reports to the relay which messages are on disk and which a reader has taken. Only named readers count, because they
 * record their position in `cursors/`; `tail -f` leaves no trace.
 */
export class ReadReceipts {
  readonly #options: ReadReceiptsOptions
  readonly #memory: DaemonMemory
  readonly #change: DirectoryChange
  /** Direct messages and tasks that are in no context yet by the `seq` of their line, in the order of the inbox. */
  readonly #unread = new LruMap<number, Unread>(maxUnread)
  #sent: SentReceipt[] = []
  #cursors: ReadonlyMap<string, ReaderPosition> | undefined
  #hasMoved = false
  #isRepeatDue = false
  #session: Pick<Connection, "send" | "welcome"> | undefined

  constructor(options: ReadReceiptsOptions) {
    this.#options = options
    this.#memory = options.memory
    this.#change = new DirectoryChange(options.cursors)
  }

  /** Takes a line that was found in the inbox at startup. */
  recall(line: Buffer): void {
    const seq = readSeq(line) ?? 0
    const id = seq > this.#memory.state.retrieved ? readDirectId(line) : undefined
    if (id !== undefined) this.#add(seq, id)
  }

  /**
   * Reports on this session from now on. The newest receipts of the last one are repeated at the next check, and not at
   * once: a relay that was killed first sends again what it does not know to have delivered.
   */
  attach(session: Pick<Connection, "send" | "welcome">): void {
    this.#session = session
    this.#isRepeatDue = true
  }

  detach(): void {
    this.#session = undefined
  }

  /** Confirms lines that are on disk: advances the bookmarks and sends RECEIVED. */
  confirm({ marks, seqs }: Pick<DurableBatch, "marks" | "seqs">): void {
    const ids: string[] = []
    const newest = new Map<string, Bookmark>()
    for (const [index, mark] of (marks as readonly Mark[]).entries()) {
      const seq = seqs[index]
      if ("direct" in mark) {
        ids.push(mark.direct)
        if (seq !== undefined && mark.isOwn !== true) this.#add(seq, mark.direct)
      } else if (mark.seq >= (newest.get(mark.channel)?.seq ?? 0)) newest.set(mark.channel, mark)
    }
    this.#options.bookmarks.advance([...newest.values()])
    const session = this.#session
    if (session === undefined) return
    const current = [...newest.values()].filter(({ serverId }) => serverId === session.welcome.server_id)
    const upTo = Object.fromEntries(current.map(({ channel, seq }) => [channel, seq]))
    session.send({
      type: "RECEIVED",
      ...(ids.length > 0 && { ids }),
      ...(current.length > 0 && { up_to: upTo }),
    })
  }

  /** Reads the cursors if they may have changed, and sends receipts for what readers took. Throws file errors. */
  checkReaders(): void {
    if (this.#session === undefined) return
    if (this.#isRepeatDue) this.#repeat()
    if (this.#change.isDue) this.#readCursors()
    if (!this.#hasMoved) return
    this.#hasMoved = false
    this.#sendTaken()
  }

  /** A reader may have taken the line before it was known to be on disk. */
  #add(seq: number, id: string): void {
    this.#unread.set(seq, { id, isTaken: false })
    if (seq <= this.#memory.state.retrieved || this.#isTaken(seq)) this.#hasMoved = true
  }

  #readCursors(): void {
    const before = this.#cursors
    this.#cursors = listCursors(this.#options.cursors)
    for (const [reader, position] of this.#cursors) {
      const { seq, also } = position
      // Only the furthest position from before this process started is known.
      const last = before === undefined ? { seq: this.#memory.state.retrieved, also: [] } : before.get(reader)
      const hasContext = before !== undefined && contextText(before.get(reader)) !== contextText(position)
      const isNews = (last?.also.toString() ?? "") !== also.toString() || hasContext
      if (seq > (last?.seq ?? 0) || isNews) this.#hasMoved = true
    }
  }

  #isTaken(line: number): boolean {
    for (const position of this.#cursors?.values() ?? []) if (hasLine(position, line)) return true
    return false
  }

  #contextDoorOf(line: number): ContextDoor | undefined {
    for (const position of this.#cursors?.values() ?? []) {
      const door = contextDoorOf(position, line)
      if (door !== undefined) return door
    }
    return undefined
  }

  #sendTaken(): void {
    const { taken, inContext } = this.#newlyTaken()
    // An empty list is sent too: a reader that took only channel messages was active as well.
    const pages = taken.length === 0 && inContext.size > 0 ? [] : pagesOf(taken)
    for (const retrieved of pages) this.#send({ type: "RECEIVED", retrieved })
    for (const [method, ids] of inContext) {
      for (const page of pagesOf(ids)) this.#send({ type: "RECEIVED", in_context: page, method })
    }
    const furthest = Math.max(0, ...Array.from(this.#cursors?.values() ?? [], ({ seq }) => seq))
    if (furthest > this.#memory.state.retrieved) this.#memory.note({ retrieved: furthest })
  }

  /** Returns the ids that readers have taken since the last call, and apart from them those that are in a context. */
  #newlyTaken(): { taken: string[]; inContext: ReadonlyMap<ContextDoor, string[]> } {
    const taken: string[] = []
    const inContext = new Map<ContextDoor, string[]>()
    for (const [seq, unread] of this.#unread) {
      if (!this.#isTaken(seq)) continue
      const { id, isTaken } = unread
      const door = this.#contextDoorOf(seq)
      if (door !== undefined) {
        const ids = inContext.get(door) ?? []
        inContext.set(door, ids)
        ids.push(id)
        this.#unread.delete(seq)
      } else if (!isTaken) {
        taken.push(id)
        unread.isTaken = true
      }
    }
    return { taken, inContext }
  }

  #repeat(): void {
    this.#isRepeatDue = false
    const repeated = this.#newestSent()
    this.#sent = []
    for (const { receipt } of repeated) this.#send(receipt)
  }

  #send(receipt: ClientFrame<"RECEIVED">): void {
    this.#sent = this.#newestSent()
    if (receipt.retrieved?.length !== 0) {
      this.#sent.push({ atMs: this.#options.clock.monotonic(), receipt })
    }
    this.#session?.send(receipt)
  }

  #newestSent(): SentReceipt[] {
    const nowMs = this.#options.clock.monotonic()
    return this.#sent.filter(({ atMs }) => nowMs - atMs < repeatMs)
  }
}

/** Divides ids into frames; one frame for none. */
function pagesOf(ids: readonly string[]): string[][] {
  const pages: string[][] = []
  for (let from = 0; from === 0 || from < ids.length; from += idsPerFrame) {
    pages.push(ids.slice(from, from + idsPerFrame))
  }
  return pages
}

function contextText(position: ReaderPosition | undefined): string {
  return JSON.stringify(position?.context ?? {})
}
