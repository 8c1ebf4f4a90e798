import { randomBytes } from "node:crypto"
import type { ServerResponse } from "node:http"
import { type Clock, repeat, type Timer } from "../base/clock.js"

/** Events kept for pages that lost their connection, and their characters. */
const keptEvents = 500
const keptCharacters = 4 * 1024 * 1024
/** Bytes that a page has not read at which it is cut off; it connects again and goes on. */
const maxBehind = 8 * 1024 * 1024
/** Milliseconds between two comments that keep a silent connection open. */
const pulseMs = 15_000
/** Most pages at once. */
const maxPages = 64

interface KeptEvent {
  readonly id: string
  readonly frame: string
}

/**
 * Server-sent events for any number of pages. A page that connects again names the last event that it has, and gets those
 * after it, or everything anew if they are gone.
 */
export class EventStream {
  readonly #pages = new Set<ServerResponse>()
  readonly #pulse: Timer
  /** Distinguishes the events of this process from those of an earlier one. */
  readonly #epoch = randomBytes(6).toString("base64url")
  #kept: KeptEvent[] = []
  #characters = 0
  #count = 0

  constructor(clock: Clock) {
    this.#pulse = repeat(clock, pulseMs, () => {
      for (const page of this.#pages) page.write(": pulse\n\n")
    })
  }

  get pages(): number {
    return this.#pages.size
  }

  /**
   * Adds a page.
   * @param lastId - of the last event that it has
   * @param state - returns everything as JSON, for a page that cannot go on where it was
   * @returns false if there are too many
   */
  add(page: ServerResponse, lastId: string | undefined, state: () => string): boolean {
    if (this.#pages.size >= maxPages) return false
    page.write("retry: 1000\n\n")
    const missed = this.#after(lastId)
    if (missed === undefined) page.write(formatEvent(this.#idOf(this.#count), "state", state()))
    else for (const { frame } of missed) page.write(frame)
    this.#pages.add(page)
    page.on("close", () => this.#pages.delete(page))
    return true
  }

  /** Sends a change to all pages. @param data - as JSON */
  send(data: string): void {
    const id = this.#idOf(++this.#count)
    const frame = formatEvent(id, "change", data)
    this.#kept.push({ id, frame })
    this.#characters += frame.length
    while (this.#kept.length > keptEvents || this.#characters > keptCharacters)
      this.#characters -= this.#kept.shift()?.frame.length ?? 0
    for (const page of this.#pages) {
      page.write(frame)
      if (page.writableLength > maxBehind) page.destroy()
    }
  }

  close(): void {
    this.#pulse.cancel()
    for (const page of this.#pages) page.end()
  }

  /** Returns the events after one; undefined if that is not known. */
  #after(lastId: string | undefined): readonly KeptEvent[] | undefined {
    if (lastId === undefined) return undefined
    if (lastId === this.#idOf(this.#count)) return []
    const at = this.#kept.findIndex(({ id }) => id === lastId)
    return at < 0 ? undefined : this.#kept.slice(at + 1)
  }

  #idOf(count: number): string {
    return `${this.#epoch}-${count}`
  }
}

/** JSON has no line breaks of its own, so it is one line of data. */
function formatEvent(id: string, event: string, data: string): string {
  return `id: ${id}\nevent: ${event}\ndata: ${data}\n\n`
}
