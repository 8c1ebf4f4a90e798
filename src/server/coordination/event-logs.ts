import { LruMap } from "../../base/lru-map.js"
import { isPlain } from "../../base/plain.js"
import type { ChannelId } from "../../coordination/channel-id.js"
import { type EventRow, eventPart, eventPartKind, formatTime, httpAgent } from "../../coordination/event.js"
import { boolean, Fault, object, optional } from "../../protocol/schema.js"
import type { Channel } from "../channels/channel.js"
import { parseStored, type Stored } from "../delivery/message-json.js"

/** Channels whose events are kept in memory. */
const maxLogs = 2_000
/** Bytes of the events that are kept in memory of one channel, and of all. */
const maxLogBytes = 8 * 1024 * 1024
const maxTotalBytes = 64 * 1024 * 1024

/** Number and time of a message in a log. */
interface Place {
  readonly seq: number
  readonly ts: number
}

interface Entry {
  readonly event: EventRow
  readonly bytes: number
}

interface Log {
  /** The newest first. */
  entries: readonly Entry[]
  bytes: number
  /** Number of the newest message that was read. */
  seq: number
  /** Reads wait for each other. */
  reading: Promise<void>
}

/** Reports whether a part of a message is an event. */
const isEvent = (part: unknown) => isPlain(part) && part["kind"] === eventPartKind
const proof = object({ proven: optional(boolean) })

/** The events of channels, as far as they were asked for: read from the messages of the channel, and then only what is new. */
export class EventLogs {
  /** Numbers that were appended, which the channel itself may learn later. */
  readonly #newest = new LruMap<ChannelId, number>(maxLogs)
  readonly #logs = new LruMap<ChannelId, Log>(maxLogs, (_, log) => {
    this.#bytes -= log.bytes
  })
  #bytes = 0

  /** Notes that an event was appended, so that the next read finds it. */
  note(id: ChannelId, seq: number): void {
    this.#newest.set(id, Math.max(seq, this.#newest.get(id) ?? 0))
  }

  /** Returns the events, the newest first. @throws {ChatError} UNAVAILABLE */
  async read(id: ChannelId, channel: Channel, closedMs: number | undefined): Promise<readonly EventRow[]> {
    let log = this.#logs.get(id)
    if (log === undefined) {
      log = { entries: [], bytes: 0, seq: 0, reading: Promise.resolve() }
      this.#logs.set(id, log)
    }
    const known = log
    const read = known.reading.then(() => this.#readNew(id, known, channel))
    known.reading = read.catch(() => {})
    await read
    return known.entries.map(({ event }) =>
      closedMs !== undefined && Date.parse(event.created_at) > closedMs
        ? { ...event, after_close: true as const }
        : event,
    )
  }

  async #readNew(id: ChannelId, log: Log, channel: Channel): Promise<void> {
    const { history } = channel
    if (history === undefined) {
      if (log.seq === channel.seq) return
      this.#add(
        log,
        Array.from(channel.replay(log.seq, 0), ({ text }) => toEntry(id, text)),
      )
      log.seq = channel.seq
    } else {
      while (log.seq < Math.max(channel.seq, this.#newest.get(id) ?? 0)) {
        const page = await history.after(log.seq)
        const last = page.at(-1)
        if (last === undefined) break
        this.#add(
          log,
          page.map((entry) => toEntry(id, entry.value, entry)),
        )
        log.seq = last.seq
      }
    }
    this.#makeRoom(id)
  }

  /** @param entries - the oldest first */
  #add(log: Log, entries: readonly (Entry | undefined)[]): void {
    const added = entries.filter((entry) => entry !== undefined).reverse()
    this.#grow(
      log,
      added.reduce((sum, { bytes }) => sum + bytes, 0),
    )
    const all = [...added, ...log.entries]
    while (log.bytes > maxLogBytes && all.length > 1) this.#grow(log, -(all.pop()?.bytes ?? 0))
    log.entries = all
  }

  #makeRoom(kept: ChannelId): void {
    for (const [id, { bytes }] of this.#logs) {
      if (this.#bytes <= maxTotalBytes) return
      if (id === kept) continue
      this.#logs.delete(id)
      this.#bytes -= bytes
    }
  }

  #grow(log: Log, bytes: number): void {
    log.bytes += bytes
    this.#bytes += bytes
  }
}

/**
 * Returns the event of a message. The author of an event that came over HTTP is the one it names; of any other, the agent
 * that sent the message. A message without an event is one of kind `comms`.
 */
function toEvent(id: ChannelId, text: string, stored: Place | undefined): EventRow | undefined {
  const message = parseStored({ value: text })
  return message?.type === "MSG" ? eventOf(id, message, stored) : undefined
}

function eventOf(id: ChannelId, message: Stored<"MSG">, stored: Place | undefined): EventRow | undefined {
  const { from, content, parts = [], ts, seq = 0 } = message
  const found = parts.find(isEvent)
  const part = eventPart.read(found)
  const isHttp = from === httpAgent
  const base = { id: stored?.seq ?? seq, channel_id: id, created_at: formatTime(stored?.ts ?? ts) }
  if (part instanceof Fault) {
    return isHttp
      ? undefined
      : { ...base, kind: "comms", author: from, payload: { text: content }, proven: true }
  }
  const { event: kind, payload } = part
  if (!isHttp) return { ...base, kind, author: from, payload, proven: true }
  return { ...base, kind, author: part.author ?? "", payload, proven: isProven(found) }
}

function isProven(part: unknown): boolean {
  const read = proof.read(part)
  return !(read instanceof Fault) && read.proven === true
}

/** @param stored - number and time of the message, if they are not part of its text */
function toEntry(id: ChannelId, text: string, stored?: Place): Entry | undefined {
  const event = toEvent(id, text, stored)
  return event && { event, bytes: text.length }
}
