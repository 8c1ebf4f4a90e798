/** Bounds what a reader gets of many messages: joins, leaves and replay are folded, and the rest fits its context. */
import type { Clock, Timer } from "../../base/clock.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { formatMessage, type Look } from "./message-text.js"

type Members = Readonly<Record<string, unknown>>

/** Milliseconds without another join or leave after which those before are printed. */
const quietMs = 1_000

/** Counts what is not printed line by line: joins and leaves and, for a reader, the replay of earlier messages. */
export class Folded {
  readonly #look: () => Look
  readonly #commandSince: ((seq: number) => string) | undefined
  /** The movement to print as it is if no other follows. */
  #first: Members | undefined
  #joined = 0
  #left = 0
  #replayed = 0
  /** Number of the line before the first replayed one. */
  #replayedAfter = 0
  readonly #replayedChannels = new Set<string>()

  /** @param commandSince - returns the command that prints the lines after a number; if given, replays are folded */
  constructor(look: () => Look, commandSince?: (seq: number) => string) {
    this.#look = look
    this.#commandSince = commandSince
  }

  /** Takes a message, and returns whether it is folded. */
  take(members: Members): boolean {
    const { type, replay, to, seq } = members
    if (isMovement(members)) {
      const count = Array.isArray(members["agents"]) ? members["agents"].length : 1
      if (type === "AGENT_JOINED") this.#joined += count
      else this.#left += count
      this.#first ??= members
      return true
    }
    if (type !== "MSG" || replay !== true || this.#commandSince === undefined) return false
    if (this.#replayed === 0) this.#replayedAfter = Number(seq) - 1
    this.#replayed += 1
    this.#replayedChannels.add(String(to))
    return true
  }

  /** Returns the lines for what was folded since the last call. */
  lines(): string[] {
    const lines = this.#replayed === 0 ? [] : [note(this.#look(), this.#replayNote())]
    const movements = this.#joined + this.#left
    if (movements > 1) {
      const counts = [
        ...(this.#joined > 0 ? [`${this.#joined} joined`] : []),
        ...(this.#left > 0 ? [`${this.#left} left`] : []),
      ]
      lines.push(note(this.#look(), counts.join(", ")))
    } else if (this.#first !== undefined) lines.push(formatMessage(this.#first, this.#look()))
    this.#first = undefined
    this.#joined = 0
    this.#left = 0
    this.#replayed = 0
    this.#replayedChannels.clear()
    return lines
  }

  /** Says in one line, whatever the number of channels, what was replayed and how to read it. */
  #replayNote(): string {
    const count = this.#replayed === 1 ? "1 message" : `${this.#replayed} messages`
    const { size } = this.#replayedChannels
    const [first = ""] = this.#replayedChannels
    const channels = `${formatForTerminal(first)}${size > 1 ? ` and ${size - 1} more` : ""}`
    return `${count} of ${channels}, from before you joined: ${this.#commandSince?.(this.#replayedAfter) ?? ""}`
  }
}

/** Reports whether a message says that somebody joined or left. */
function isMovement({ type }: Members): boolean {
  return type === "AGENT_JOINED" || type === "AGENT_LEFT"
}

/** Reports whether a line counts as something to read. */
export function isReadable(members: Members): boolean {
  return !isMovement(members) && members["type"] !== "INBOX_ROTATED"
}

/** Formats a remark of the program itself. No message of an agent looks like it: their lines begin with a time. */
export function note({ colors }: Pick<Look, "colors">, text: string): string {
  return colors.dim(`-- ${text}`)
}

/** Prints messages as they arrive. Folds the joins and leaves between two of them. */
export class LiveView {
  readonly #print: (line: string) => void
  readonly #look: () => Look
  readonly #folded: Folded
  readonly #clock: Clock
  #timer: Timer | undefined

  constructor(clock: Clock, look: () => Look, print: (line: string) => void) {
    this.#clock = clock
    this.#look = look
    this.#print = print
    this.#folded = new Folded(look)
  }

  add(members: Members): void {
    if (!isReadable(members) && !isMovement(members)) return
    if (!this.#folded.take(members)) {
      this.flush()
      this.#print(formatMessage(members, this.#look()))
      return
    }
    this.#timer?.cancel()
    this.#timer = this.#clock.setTimer(() => this.flush(), quietMs)
  }

  /** Prints what is folded. */
  flush(): void {
    this.#timer?.cancel()
    for (const line of this.#folded.lines()) this.#print(line)
  }
}

/** A printed line and the number of the inbox line that it shows. */
interface NumberedLine {
  readonly seq: number
  readonly text: string
}

/** The lines of a reading that fit a limit: the newest ones, or as many as fit from the first on. */
export class BoundedLines {
  readonly #costOf: (text: string) => number
  readonly #limit: number
  readonly #keep: "newest" | "first"
  readonly #kept: NumberedLine[] = []
  #cost = 0
  #omitted = 0
  #firstOmitted: number | undefined

  /** @param maxChars - the limit in characters; by default it is {@link maxTokens} */
  constructor(maxChars: number | undefined, keep: "newest" | "first") {
    this.#keep = keep
    this.#costOf = maxChars === undefined ? estimateTokens : (text) => text.length + 1
    this.#limit = maxChars ?? maxTokens
  }

  /**
   * Adds a line. One line is kept in any case: a message is at most a few thousand characters.
   * @returns false if the first lines are to be kept and this one no longer fits
   */
  add(line: NumberedLine): boolean {
    const cost = this.#costOf(line.text)
    if (this.#keep === "first" && this.#kept.length > 0 && this.#cost + cost > this.#limit) return false
    this.#kept.push(line)
    this.#cost += cost
    while (this.#keep === "newest" && this.#cost > this.#limit && this.#kept.length > 1) this.#omitOldest()
    return true
  }

  get texts(): readonly string[] {
    return this.#kept.map(({ text }) => text)
  }

  /** How many older lines were left out, and the number of the first of them; undefined if none was. */
  get omitted(): { readonly count: number; readonly firstSeq: number } | undefined {
    return this.#firstOmitted === undefined
      ? undefined
      : { count: this.#omitted, firstSeq: this.#firstOmitted }
  }

  #omitOldest(): void {
    const oldest = this.#kept.shift()
    if (oldest === undefined) return
    this.#cost -= this.#costOf(oldest.text)
    this.#omitted += 1
    this.#firstOmitted ??= oldest.seq
  }
}

/** Most tokens of one reading: four percent of a context of 200,000. */
const maxTokens = 8_000

/**
 * Estimates the tokens of a text, rather too many than too few: five letters, three digits or one other character are
 * one.
 */
export function estimateTokens(text: string): number {
  let tokens = 1
  for (const [run] of text.matchAll(/[A-Za-z]+|\d+|[^\sA-Za-z\d]/g)) {
    tokens += Math.ceil(run.length / (/^\d/.test(run) ? 3 : 5))
  }
  return tokens
}
