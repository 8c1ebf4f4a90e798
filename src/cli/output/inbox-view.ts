/** Prints lines of an inbox: as text, as they are in the file, or rendered for a model. */
import { completeHint } from "../../base/command-hint.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import type { InboxEntry } from "../../daemon/inbox/reader.js"
import { channelPattern } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { readPrintedAnswers } from "../daemon/printed-answers.js"
import { formatMessage, type Look, makeColors } from "./message-text.js"
import { BoundedLines, Folded, isReadable, LiveView, note } from "./reading.js"

/** The lines of a view, and its reader. */
export interface ViewOptions {
  readonly paths: DaemonPaths
  /** The command that prints what does not fit, without the program's name. */
  readonly command: string
  /**
   * The reader whose position moves. For it the replay of earlier messages is folded, which nobody has to read, and what
   * does not fit waits for the next reading: lines that were not printed do not count as read.
   */
  readonly reader: string | undefined
  /** Characters to print at most; by default about 8,000 tokens. */
  readonly maxChars?: number | undefined
  /** Messages to print at most. */
  readonly maxMessages?: number | undefined
}

/** A form in which lines are printed. */
export interface InboxView {
  /** Reports a line that cannot be parsed. */
  readonly onDamaged: (text: string) => void
  /** Prints lines, oldest first, as far as they fit. @returns the numbers of those that count as read then */
  print(entries: Iterable<InboxEntry>): number[]
  /** Prints a line that has just come. */
  printNew(entry: InboxEntry): void
  /** Prints what {@link printNew} kept back. */
  end(): void
}

/** Returns the view that the options of a command ask for. */
export async function openView(
  context: Context,
  isRendered: boolean,
  options: ViewOptions,
): Promise<InboxView> {
  if (context.config.json) return new JsonLines(context, options)
  if (!isRendered) return new TextLines(context, options)
  return new RenderedLines(context, options, await import("./render.js"))
}

abstract class View {
  protected readonly context: Context
  protected readonly options: ViewOptions
  readonly onDamaged: (text: string) => void

  constructor(context: Context, options: ViewOptions) {
    this.context = context
    this.options = options
    this.onDamaged = (text) => context.io.note(`skipped a damaged line: ${text.slice(0, 80)}`)
  }

  end(): void {
    // Most views keep nothing back.
  }

  protected command(words: string): string {
    return completeHint(`agentchat ${words}`, this.context.config.hintOptions)
  }
}

/** Prints lines as they are in the file. */
class JsonLines extends View implements InboxView {
  print(entries: Iterable<InboxEntry>): number[] {
    const { maxMessages = Number.POSITIVE_INFINITY } = this.options
    // Only what a number bounds is bounded in size too: programs that ask for everything get it.
    const lines = maxMessages === Number.POSITIVE_INFINITY ? undefined : new BoundedLines(undefined, "first")
    const taken: number[] = []
    let count = 0
    for (const entry of entries) {
      const { seq, text, fields } = entry
      if (isReadable(fields) && ++count > maxMessages) break
      if (lines?.add({ seq, text }) === false) break
      this.printNew(entry)
      taken.push(seq)
    }
    return taken
  }

  printNew({ text }: InboxEntry): void {
    this.context.io.out(text)
  }
}

/** Prints lines for a person or the context of an agent. */
class TextLines extends View implements InboxView {
  readonly #live: LiveView

  constructor(context: Context, options: ViewOptions) {
    super(context, options)
    const { io, clock } = context
    this.#live = new LiveView(
      clock,
      () => this.#look(),
      (line) => io.out(line),
    )
  }

  print(entries: Iterable<InboxEntry>): number[] {
    const { reader, maxChars, maxMessages = Number.POSITIVE_INFINITY, command } = this.options
    const { io } = this.context
    const look = this.#look()
    const isReader = reader !== undefined
    const folded = new Folded(
      () => look,
      isReader ? (seq) => this.command(`inbox --since ${seq}`) : undefined,
    )
    const lines = new BoundedLines(maxChars, isReader ? "first" : "newest")
    const taken: number[] = []
    let count = 0
    let isCut = false
    for (const { seq, fields } of entries) {
      if (!folded.take(fields) && isReadable(fields)) {
        isCut = ++count > maxMessages || !lines.add({ seq, text: formatMessage(fields, look) })
        if (isCut) break
      }
      taken.push(seq)
    }
    const { omitted } = lines
    if (omitted !== undefined) {
      const command = this.command(`inbox --since ${omitted.firstSeq - 1} --max-chars 1000000`)
      io.out(note(look, `${omitted.count} older messages left out: ${command}`))
    }
    for (const line of [...lines.texts, ...folded.lines()]) io.out(line)
    if (isCut) io.out(note(look, `more messages wait: ${this.command(command)}`))
    return taken
  }

  printNew({ fields }: InboxEntry): void {
    this.#live.add(fields)
  }

  override end(): void {
    this.#live.flush()
  }

  #look(): Look {
    const { io, clock } = this.context
    return {
      colors: makeColors(io.hasColor),
      nowMs: clock.now(),
      commandFor: (seq) => this.command(`inbox --show ${seq}`),
      printedAnswers: readPrintedAnswers(this.options.paths),
    }
  }
}

/** The module is loaded only to render something. */
type Renderer = typeof import("./render.js")

/** Prints lines for the context of a model. Joins and leaves are left out; the replay of a channel is counted. */
class RenderedLines extends View implements InboxView {
  readonly #format: Renderer
  #hasPreface = false

  constructor(context: Context, options: ViewOptions, format: Renderer) {
    super(context, options)
    this.#format = format
  }

  print(entries: Iterable<InboxEntry>): number[] {
    const { reader, maxChars, maxMessages = Number.POSITIVE_INFINITY, command } = this.options
    const lines = new BoundedLines(maxChars, reader === undefined ? "newest" : "first")
    const replayed = new Replayed()
    const taken: number[] = []
    let count = 0
    let isCut = false
    for (const { seq, fields } of entries) {
      const isFolded = reader !== undefined && replayed.take(seq, fields)
      if (!isFolded && isReadable(fields)) {
        isCut = ++count > maxMessages || !lines.add({ seq, text: this.#render(fields) })
        if (isCut) break
      }
      taken.push(seq)
    }
    for (const text of lines.texts) this.#printBlock(text)
    this.#noteOmitted(lines)
    for (const [text, afterSeq] of replayed.notes()) this.#note(text, `inbox --since ${afterSeq} --render`)
    if (isCut) this.#note("more messages wait", command)
    return taken
  }

  printNew({ fields }: InboxEntry): void {
    if (isReadable(fields)) this.#printBlock(this.#render(fields))
  }

  #render(fields: InboxEntry["fields"]): string {
    return this.#format.renderMessage(fields)
  }

  #printBlock(text: string): void {
    if (!this.#hasPreface) this.context.io.out(this.#format.preface)
    this.#hasPreface = true
    this.context.io.out(text)
  }

  #noteOmitted({ omitted }: BoundedLines): void {
    if (omitted === undefined) return
    this.#note(`${omitted.count} older messages left out`, `inbox --since ${omitted.firstSeq - 1} --render`)
  }

  #note(text: string, command: string): void {
    this.context.io.out(`agentchat: ${text}: ${this.command(command)}`)
  }
}

/** Counts the replay of earlier messages by channel. */
class Replayed {
  readonly #channels = new Map<string, { count: number; readonly afterSeq: number }>()

  /** @returns whether the line belongs to a replay */
  take(seq: number, { type, replay, to }: InboxEntry["fields"]): boolean {
    if (type !== "MSG" || replay !== true) return false
    const channel = String(to)
    const known = this.#channels.get(channel)
    if (known === undefined) this.#channels.set(channel, { count: 1, afterSeq: seq - 1 })
    else known.count += 1
    return true
  }

  /** Yields how many there were, and the number of the line before the first. */
  *notes(): Generator<[text: string, afterSeq: number]> {
    for (const [channel, { count, afterSeq }] of this.#channels) {
      const where = channelPattern.test(channel) ? ` of ${channel}` : ""
      yield [`${count} messages${where}, from before you joined`, afterSeq]
    }
  }
}

/** Prints all of one line: its text line by line, each after a bar, so that none looks like a line of the program. */
export async function showEntry(
  { io, config, clock }: Context,
  isRendered: boolean,
  { fields, text }: InboxEntry,
): Promise<void> {
  if (config.json) {
    io.out(text)
    return
  }
  if (isRendered) {
    const { preface, renderMessage } = await import("./render.js")
    io.out(preface)
    io.out(renderMessage(fields, { isWhole: true }))
    return
  }
  const { content, parts } = fields
  const look = { colors: makeColors(io.hasColor), nowMs: clock.now() }
  io.out(formatMessage({ ...fields, ...(typeof content === "string" ? { content: "" } : {}) }, look))
  const lines = typeof content === "string" ? content.split(/\r?\n/) : []
  for (const line of lines) io.out(`| ${formatForTerminal(line.replaceAll("\t", "  "))}`)
  for (const part of Array.isArray(parts) ? parts : []) io.out(`| ${formatForTerminal(JSON.stringify(part))}`)
  if (typeof content !== "string") io.out(`| ${formatForTerminal(text)}`)
}
