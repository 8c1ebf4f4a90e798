import { randomUUID } from "node:crypto"
import { EventEmitter } from "node:events"
import type { Backbone, Subscription, Table } from "../../backbone/backbone.js"
import { updateRow } from "../../backbone/update-row.js"
import type { Clock } from "../../base/clock.js"
import { KeyedMutex } from "../../base/keyed-mutex.js"
import { type ChannelId, channelOf, mintChannelId, parseChannelId } from "../../coordination/channel-id.js"
import { type Enforcement, enforcements, type Violation, violationsOf } from "../../coordination/concepts.js"
import {
  type ChannelRow,
  type EventRow,
  eventPartKind,
  formatTime,
  httpAgent,
  newestOf,
} from "../../coordination/event.js"
import { isHolderDead } from "../../coordination/liveness.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { formatMessageId } from "../../protocol/message-id.js"
import { type Address, type Channel as ChannelName, type Nick, nickPattern } from "../../protocol/names.js"
import { literal, number, object, oneOf, optional, parseAs, string } from "../../protocol/schema.js"
import type { Channel } from "../channels/channel.js"
import type { ChannelDirectory } from "../channels/directory.js"
import { formatMessage, formatMessagePrefix } from "../delivery/message-json.js"
import type { GuardService } from "../guards/guard-service.js"
import type { SentAck } from "../sessions/ack-table.js"
import type { Origin } from "../sessions/origin.js"
import { digestOf, repetition, SentIds } from "../sessions/sent-ids.js"
import { EventLogs } from "./event-logs.js"

/** Characters of a payload that stand for it where it has no words. */
const summaryLength = 500
/** Keys of events remembered at this relay. */
const rememberedKeys = 4_096
/** Attempts to find an id that is free. */
const maxTries = 20

/** A channel as it is stored, by id, in the table `coordination`. */
const row = object({
  v: literal(1),
  title: string,
  created_by: string,
  created_ms: number(0),
  closed_ms: optional(number(0)),
  enforce: oneOf(enforcements),
})
type Message = ClientMessage<"MSG">
type Row = NonNullable<ReturnType<typeof parseCoordinationRow>>

/** The client of a request. */
interface Caller {
  readonly origin: Origin
  /** True if it is known that the author is who it says. */
  readonly isProven: boolean
}

/** An event to append. */
export interface NewEvent {
  readonly kind: string
  readonly author: string
  readonly payload: Readonly<Record<string, unknown>>
  /** Names the event: the same key appends once. */
  readonly key?: string | undefined
  /** The id of the newest `state`, as the author knows it: refused if it is another one. */
  readonly ifMatch?: number | undefined
}

/** An event that was appended, and the rules that it breaks. */
interface Added {
  readonly event: EventRow
  readonly violations: readonly Violation[]
}

/** The error of a `state` that a strict channel refuses, or that comes after another one. */
export class StateRefused extends Error {
  readonly violations: readonly Violation[]
  /** Id of the newest `state`; 0 if there is none. */
  readonly newest: number

  constructor(violations: readonly Violation[], newest: number) {
    super(violations.map(({ message }) => message).join("; ") || "another state came first")
    this.violations = violations
    this.newest = newest
  }
}

interface CoordinationOptions {
  readonly channels: ChannelDirectory
  readonly guards: Pick<GuardService, "admit">
  readonly clock: Clock
  /** Returns what the URLs of channels begin with, without a slash at the end. */
  readonly baseUrl: () => string
}

/**
 * The coordination channels of a relay: durable channels whose messages are events. `state` posts of one channel wait for
 * each other at one relay; relays of a cluster do not wait for those of another.
 */
export class CoordinationService extends EventEmitter<{ appended: [id: ChannelId]; closed: [] }> {
  readonly #options: CoordinationOptions
  readonly #table: Table
  readonly #rows = new Map<ChannelId, Row>()
  readonly #logs: EventLogs
  readonly #turns = new KeyedMutex()
  readonly #sentIds = new SentIds(rememberedKeys)
  #endWatch: Subscription = () => {}

  private constructor(table: Table, options: CoordinationOptions) {
    super()
    // One of each stream.
    this.setMaxListeners(0)
    this.#table = table
    this.#options = options
    this.#logs = new EventLogs()
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(
    backbone: Pick<Backbone, "table">,
    options: CoordinationOptions,
  ): Promise<CoordinationService> {
    const service = new CoordinationService(await backbone.table("coordination"), options)
    service.#endWatch = await service.#table.watch(({ key, value }) => {
      const id = parseChannelId(key)
      const read = value === undefined ? undefined : parseCoordinationRow(value)
      if (id === undefined) return
      if (read === undefined) service.#rows.delete(id)
      else service.#rows.set(id, read)
    })
    return service
  }

  /** Ends the streams. */
  close(): void {
    this.#endWatch()
    this.emit("closed")
  }

  /** @throws {ChatError} LIMIT_REACHED, UNAVAILABLE */
  async create(
    { title = "", created_by = "" }: { readonly title?: string; readonly created_by?: string },
    enforce: Enforcement,
    { origin }: Caller,
  ): Promise<ChannelRow> {
    const { channels, clock } = this.#options
    const created: Row = { v: 1, title, created_by, created_ms: clock.now(), enforce }
    for (let tries = 0; tries < maxTries; tries++) {
      const id = mintChannelId()
      // The row decides who has the id: it is written only if there is none.
      const revision = await this.#table.put(id, JSON.stringify(created), 0)
      if (revision === undefined) continue
      try {
        const record = { isInviteOnly: false, isDurable: channels.isStored, settings: {}, invited: [] }
        await channels.create(channelOf(id), { ...record, maker: httpAgent }, origin)
      } catch (error) {
        await this.#table.delete(id, revision)
        throw error
      }
      this.#rows.set(id, created)
      return this.#format(id, created)
    }
    throw new ChatError("LIMIT_REACHED", "no id is left for another channel")
  }

  /** Returns the channels that exist and pass `isListed`, the newest first. */
  list(limit: number, isListed: (id: ChannelId, isOpen: boolean) => boolean): ChannelRow[] {
    const rows = [...this.#rows].filter(
      ([id, { closed_ms }]) => isListed(id, closed_ms === undefined) && this.#find(id) !== undefined,
    )
    rows.sort(([a, one], [b, other]) => other.created_ms - one.created_ms || (a < b ? 1 : -1))
    return rows.slice(0, limit).map(([id, each]) => this.#format(id, each))
  }

  /** Returns a channel; undefined if there is none. */
  get(id: ChannelId): ChannelRow | undefined {
    const found = this.#find(id)
    return found && this.#format(id, found.row)
  }

  /** Returns all events that the relay has of a channel, the newest first. @throws {ChatError} UNAVAILABLE */
  async events(id: ChannelId): Promise<readonly EventRow[]> {
    const found = this.#find(id)
    return found === undefined ? [] : await this.#logs.read(id, found.channel, found.row.closed_ms)
  }

  /**
   * Appends an event.
   * @returns undefined if there is no such channel
   * @throws {StateRefused} for a `state`
   * @throws {ChatError} GUARDED, UNAVAILABLE
   */
  append(id: ChannelId, event: NewEvent, caller: Caller): Promise<Added | undefined> {
    if (event.kind !== "state") return this.#append(id, event, caller, [])
    return this.#turns.run(id, async () => {
      const found = this.#find(id)
      if (found === undefined) return undefined
      const { enforce } = found.row
      if (enforce === "off" && event.ifMatch === undefined) return this.#append(id, event, caller, [])
      const events = await this.events(id)
      const before = newestOf(events, "state")
      const newest = before?.id ?? 0
      if (event.ifMatch !== undefined && event.ifMatch !== newest) throw new StateRefused([], newest)
      const isTakeover = isHolderDead(events, this.#options.clock.now())
      const violations =
        enforce === "off" ? [] : violationsOf(before?.payload, event.payload, event.author, isTakeover)
      if (enforce === "strict" && violations.length > 0) throw new StateRefused(violations, newest)
      return this.#append(id, event, caller, violations)
    })
  }

  /** Closes a channel; it stays readable. @returns undefined if there is none. @throws {ChatError} UNAVAILABLE */
  async end(id: ChannelId): Promise<ChannelRow | undefined> {
    if (this.#find(id) === undefined) return undefined
    const closed_ms = this.#options.clock.now()
    const { result } = await updateRow<Row | undefined>(
      this.#table,
      id,
      (known) => {
        const read = known && parseCoordinationRow(known.value)
        if (read === undefined || read.closed_ms !== undefined) return { result: read }
        const next = { ...read, closed_ms }
        return { result: next, value: JSON.stringify(next) }
      },
      { what: "channel" },
    )
    if (result === undefined) return undefined
    this.#rows.set(id, result)
    return this.#format(id, result)
  }

  async #append(
    id: ChannelId,
    event: NewEvent,
    caller: Caller,
    violations: readonly Violation[],
  ): Promise<Added | undefined> {
    const found = this.#find(id)
    if (found === undefined) return undefined
    const { kind, author, payload, key } = event
    const message = toMessage(event, found.channel.name, caller.isProven)
    const messageId = formatMessageId(httpAgent, `${id}.${key ?? randomUUID()}`)
    const digest = digestOf(message)
    const known = await this.#sentIds.find(messageId, digest)
    if (known !== undefined) return await this.#repeated(id, known)
    const sending = this.#send(found.channel, message, messageId, caller, author)
    const ack = await this.#sentIds.settle(messageId, digest, sending)
    this.#logs.note(id, ack.seq ?? 0)
    this.emit("appended", id)
    if (ack.isRepeated === true) return await this.#repeated(id, ack)
    const isLate = found.row.closed_ms !== undefined
    const row = {
      ...{ id: ack.seq ?? 0, channel_id: id, kind, author, payload, created_at: formatTime(ack.ts) },
      proven: caller.isProven,
      ...(isLate && { after_close: true as const }),
    }
    return { event: row, violations }
  }

  /** Returns the event that was appended first with the same key. */
  async #repeated(id: ChannelId, { seq }: SentAck): Promise<Added> {
    const event = (await this.events(id)).find((each) => each.id === seq)
    if (event !== undefined) return { event, violations: [] }
    throw new ChatError("ID_USED", "Idempotency-Key: the event of this key is no longer kept")
  }

  /** Asks the guards, and stores and publishes the message of an event. */
  async #send(
    channel: Channel,
    message: Message,
    messageId: string,
    { origin }: Caller,
    author: string,
  ): Promise<SentAck> {
    const { name, history } = channel
    const text = `${author}\n${message.content}\n${JSON.stringify(message.parts)}`
    const hops = this.#options.guards.admit({
      ...{ id: messageId, from: httpAgent, channel: name, to: [], kind: message.kind },
      // Authors that nobody has proved count together with all others of their address.
      ...{ sharedOrigin: origin, text, bytes: Buffer.byteLength(text) },
    })
    const ts = this.#options.clock.now()
    const prefix = formatMessagePrefix(httpAgent, (nickPattern.test(author) ? author : "http") as Nick)
    const ack = { ts, recipients: channel.members.size, isMember: true, hops }
    if (history === undefined) {
      const numbered = { ...ack, seq: channel.nextSeq() }
      channel.publish({ id: httpAgent }, formatMessage(prefix, name, message, messageId, numbered), ts)
      return numbered
    }
    const stored = formatMessage(prefix, name, message, messageId, { ...ack, seq: undefined })
    const digest = digestOf(message)
    const appended = await history.append(messageId, stored, digest)
    return { ...ack, ts: appended.ts, seq: appended.seq, ...repetition(appended, digest, message) }
  }

  #find(id: ChannelId): { readonly row: Row; readonly channel: Channel } | undefined {
    const known = this.#rows.get(id)
    const channel = known && this.#options.channels.get(channelOf(id))
    return known === undefined || channel === undefined ? undefined : { row: known, channel }
  }

  #format(id: ChannelId, { title, created_by, created_ms, closed_ms }: Row): ChannelRow {
    return {
      ...{ id, title, created_by, created_at: formatTime(created_ms) },
      closed_at: closed_ms === undefined ? null : formatTime(closed_ms),
      url: `${this.#options.baseUrl()}/agent-channel/${id}`,
    }
  }
}

/** Returns a channel as it is stored; undefined for a malformed row. */
export function parseCoordinationRow(text: string) {
  return parseAs(row, text)
}

/** Returns the message that carries an event. */
function toMessage({ kind, author, payload }: NewEvent, channel: ChannelName, isProven: boolean): Message {
  const isQuiet = kind === "status" || kind === "log"
  const part = { kind: eventPartKind, event: kind, author, payload, ...(isProven && { proven: true }) }
  return {
    type: "MSG",
    to: channel as string as Address,
    content: `[${kind}] ${summaryOf(payload)}`,
    parts: [part],
    ...(isQuiet && { kind: "status" }),
  }
}

/** Returns the text of an event for agents that read the channel as messages. */
function summaryOf(payload: NewEvent["payload"]): string {
  const { phase, note, text } = payload
  const words = [phase, note, text].filter((each) => typeof each === "string" && each !== "")
  return words.length > 0 ? words.join(": ") : JSON.stringify(payload).slice(0, summaryLength)
}
