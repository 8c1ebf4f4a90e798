import { existsSync } from "node:fs"
import { completeHint } from "../../base/command-hint.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { followInbox, type InboxEntry, readInbox } from "../../daemon/inbox/reader.js"
import { ReaderCursor } from "../../daemon/inbox/reader-cursor.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { defineCommand, flag, value } from "../command.js"
import type { Context } from "../context.js"
import { chooseInstance, daemonName, startCommand } from "../daemon/daemon-choice.js"
import { noteOffline } from "../daemon/daemon-state.js"
import { lineAt, newestLines } from "../daemon/inbox-lines.js"
import { interruptedStatus, reportSuccess } from "../exit-status.js"
import { nick, wholeNumber } from "../input/values.js"
import { formatMessage, type Look, makeColors } from "../output/message-text.js"
import { BoundedLines, Folded, isReadable, LiveView, note } from "../output/reading.js"
import { readPrintedAnswers } from "../relay/printed-answers.js"

/** Number of messages printed by default: enough to see what happens, few enough for an agent's context. */
const defaultLast = 20

export const inbox = defineCommand({
  args: {},
  options: {
    follow: flag("keep printing new lines until interrupted"),
    last: value(
      "N",
      `only the newest N messages (default ${defaultLast} without --since and --reader)`,
      wholeNumber(1),
    ),
    since: value("SEQ", "only lines after number SEQ; 0 for all", wholeNumber(0)),
    reader: value("NAME", "only lines that reader NAME has not seen; mark them as seen", nick),
    ack: value("SEQ", "only mark lines up to SEQ as seen", wholeNumber(1)),
    show: value("SEQ", "print one line in full", wholeNumber(1)),
    "max-chars": value("N", "characters to print at most (default: about 8,000 tokens)", wholeNumber(100)),
    name: daemonName,
  },
  takesUrl: false,
  examples: [
    "agentchat inbox",
    "agentchat inbox --reader me",
    "agentchat inbox --show 12",
    "agentchat inbox --follow --reader me --json",
  ],
  notes: [
    "Cuts messages at 2,000 characters, counts joins and leaves, and keeps the newest lines if there are too many;",
    "with --reader, those that do not fit wait for the next reading.",
    "With --json, prints each line as it is in inbox.jsonl.",
  ],
  async run(context, { options }) {
    const { last, since, follow, reader, name } = options
    refuseMixed(context, options)
    const paths = existingInbox(context, name)
    const status = showOrMark(context, paths, options)
    if (status !== undefined) return status
    noteOffline(context, paths.name)
    const cursor = reader === undefined ? undefined : ReaderCursor.open(paths, reader)
    // Handle signals before the first line is printed, so that an interrupt does not lose the reader's position.
    const signal = follow ? context.system.interruption() : undefined
    const view = context.config.json
      ? new JsonLines(context, paths)
      : new TextLines(context, {
          paths,
          reader,
          maxChars: options["max-chars"],
        })
    const after = since ?? cursor?.seq
    /** Lines count as seen only after the write, because a broken pipe loses them. */
    const confirm = async (seq: number) => {
      if (cursor === undefined) return
      await context.io.flush()
      cursor.confirm(seq)
    }
    const seq = view.printAll(after, last ?? (after === undefined ? defaultLast : undefined))
    await confirm(seq)
    if (signal === undefined) return 0
    const { clock } = context
    for await (const entry of followInbox(paths, seq, { clock, signal, onDamaged: view.onDamaged })) {
      view.printNew(entry)
      await confirm(entry.seq)
    }
    if (view instanceof TextLines) view.end()
    return interruptedStatus(signal)
  },
})

/** Does what --show or --ack asks for. @returns the exit status; undefined without either */
function showOrMark(
  context: Context,
  paths: DaemonPaths,
  { show, ack, reader }: InboxOptions,
): number | undefined {
  if (show !== undefined) return showLine(context, paths, show)
  return ack === undefined ? undefined : markSeen(context, paths, { reader, ack })
}

/** @throws {ChatError} USAGE without a reader, or for a line that does not exist yet */
function markSeen(
  context: Context,
  paths: DaemonPaths,
  { reader, ack }: { reader: string | undefined; ack: number },
): number {
  if (reader === undefined) throw new ChatError("USAGE", "--ack: needs --reader NAME")
  let newest = 0
  for (const { seq } of readInbox(paths, { last: 1 })) newest = seq
  if (ack > newest) throw new ChatError("USAGE", `--ack: the newest line is ${newest}, not ${ack}`)
  const cursor = ReaderCursor.open(paths, reader)
  cursor.confirm(ack)
  return reportSuccess(
    context,
    { reader, seq: cursor.seq },
    `${reader} has seen the lines up to ${cursor.seq}`,
  )
}

interface InboxOptions {
  readonly since: number | undefined
  readonly reader: string | undefined
  readonly show: number | undefined
  readonly ack: number | undefined
  readonly "max-chars": number | undefined
}

function refuseMixed(
  { config }: Context,
  { since, reader, show, "max-chars": maxChars }: InboxOptions,
): void {
  if (since !== undefined && reader !== undefined) {
    throw new ChatError(
      "USAGE",
      "--since and --reader are mutually exclusive; a reader keeps its own position",
    )
  }
  if (show !== undefined && reader !== undefined) {
    throw new ChatError("USAGE", "--show and --reader are mutually exclusive")
  }
  if (maxChars !== undefined && config.json) {
    throw new ChatError("USAGE", "--max-chars and --json are mutually exclusive; use --last")
  }
}

/** Prints lines as they are in the file. */
class JsonLines {
  readonly #context: Context
  readonly #paths: DaemonPaths
  readonly onDamaged: (text: string) => void

  constructor(context: Context, paths: DaemonPaths) {
    this.#context = context
    this.#paths = paths
    this.onDamaged = (text) => context.io.note(`skipped a damaged line: ${text.slice(0, 80)}`)
  }

  /** Prints the lines after a number, or the newest `last` of them. @returns the number of the last line */
  printAll(after = 0, last?: number): number {
    let seq = after
    const range = last === undefined ? { sinceSeq: after } : { last }
    for (const entry of readInbox(this.#paths, range, this.onDamaged)) {
      if (entry.seq <= after) continue
      this.printNew(entry)
      seq = entry.seq
    }
    return seq
  }

  printNew({ text }: InboxEntry): void {
    this.#context.io.out(text)
  }
}

interface TextOptions {
  readonly paths: DaemonPaths
  /**
   * The reader whose position moves. For it the replay of earlier messages is folded, which nobody has to read, and what
   * does not fit waits for the next reading: lines that were not printed do not count as read.
   */
  readonly reader: string | undefined
  readonly maxChars: number | undefined
}

/** Prints lines for a person or the context of an agent. */
class TextLines {
  readonly #context: Context
  readonly #options: TextOptions
  readonly #live: LiveView
  readonly onDamaged: (text: string) => void

  constructor(context: Context, options: TextOptions) {
    const { io, clock } = context
    this.#context = context
    this.#options = options
    this.#live = new LiveView(
      clock,
      () => this.#look(),
      (line) => io.out(line),
    )
    this.onDamaged = (text) => io.note(`skipped a damaged line: ${text.slice(0, 80)}`)
  }

  /** As {@link JsonLines.printAll}, but `last` counts only what is to be read. */
  printAll(after = 0, last?: number): number {
    const { reader, maxChars } = this.#options
    const { io } = this.#context
    const look = this.#look()
    const isReader = reader !== undefined
    const folded = new Folded(
      () => look,
      isReader ? (seq) => this.#command(`inbox --since ${seq}`) : undefined,
    )
    const lines = new BoundedLines(maxChars, isReader ? "first" : "newest")
    let seq = after
    let isCut = false
    for (const { seq: number, fields } of this.#entries(after, last)) {
      if (!folded.take(fields) && isReadable(fields)) {
        isCut = !lines.add({ seq: number, text: formatMessage(fields, look) })
        if (isCut) break
      }
      seq = number
    }
    const { omitted } = lines
    if (omitted !== undefined) {
      const command = this.#command(`inbox --since ${omitted.firstSeq - 1} --max-chars 1000000`)
      io.out(note(look, `${omitted.count} older messages left out: ${command}`))
    }
    for (const line of [...lines.texts, ...folded.lines()]) io.out(line)
    if (isCut) io.out(note(look, `more messages wait: ${this.#command(`inbox --reader ${String(reader)}`)}`))
    return seq
  }

  *#entries(after: number, last: number | undefined): Generator<InboxEntry> {
    const { paths } = this.#options
    const entries =
      last === undefined
        ? readInbox(paths, { sinceSeq: after }, this.onDamaged)
        : newestLines(paths, last, isReadable, this.onDamaged)
    for (const entry of entries) if (entry.seq > after) yield entry
  }

  printNew({ fields }: InboxEntry): void {
    this.#live.add(fields)
  }

  /** Prints what is folded at the end. */
  end(): void {
    this.#live.flush()
  }

  #look(): Look {
    const { io, clock } = this.#context
    return {
      colors: makeColors(io.hasColor),
      nowMs: clock.now(),
      commandFor: (seq) => this.#command(`inbox --show ${seq}`),
      printedAnswers: readPrintedAnswers(this.#options.paths),
    }
  }

  #command(words: string): string {
    return completeHint(`agentchat ${words}`, this.#context.config.hintOptions)
  }
}

/** Prints all of one line: its text line by line, each after a bar, so that none looks like a line of the program. */
function showLine({ io, config, clock }: Context, paths: DaemonPaths, seq: number): number {
  const entry = lineAt(paths, seq)
  if (entry === undefined) throw new ChatError("NOT_FOUND", `--show: the inbox has no line ${seq}`)
  const { fields, text } = entry
  if (config.json) {
    io.out(text)
    return 0
  }
  const { content, parts } = fields
  const look = { colors: makeColors(io.hasColor), nowMs: clock.now() }
  io.out(formatMessage({ ...fields, ...(typeof content === "string" ? { content: "" } : {}) }, look))
  const lines = typeof content === "string" ? content.split(/\r?\n/) : []
  for (const line of lines) io.out(`| ${formatForTerminal(line.replaceAll("\t", "  "))}`)
  for (const part of Array.isArray(parts) ? parts : []) io.out(`| ${formatForTerminal(JSON.stringify(part))}`)
  if (typeof content !== "string") io.out(`| ${formatForTerminal(text)}`)
  return 0
}

function existingInbox(context: Context, name: InstanceName | undefined): DaemonPaths {
  const paths = chooseInstance(context, name)
  if (existsSync(paths.dir)) return paths
  throw new ChatError("NOT_FOUND", `daemon ${paths.name} was never started here`, {
    hint: `start it: ${startCommand(paths)}, or with a relay of its own: agentchat up`,
  })
}
