import type { DaemonPaths } from "../../daemon/files/paths.js"
import { followInbox, type InboxEntry, readInbox } from "../../daemon/inbox/reader.js"
import { ReaderCursor } from "../../daemon/inbox/reader-cursor.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, value } from "../command.js"
import type { Context } from "../context.js"
import { daemonName, startedInstance } from "../daemon/daemon-choice.js"
import { noteOffline } from "../daemon/daemon-state.js"
import { lineAt, newestLines, only } from "../daemon/inbox-lines.js"
import { interruptedStatus, orAborted, reportSuccess } from "../exit-status.js"
import { nick, wholeNumber } from "../input/values.js"
import { type InboxView, openView, showEntry } from "../output/inbox-view.js"
import { isReadable } from "../output/reading.js"

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
    peek: flag("with --reader: leave the lines unread"),
    ack: value("SEQ", "only mark lines up to SEQ as seen", wholeNumber(1)),
    show: value("SEQ", "print one line in full", wholeNumber(1)),
    "max-chars": value("N", "characters to print at most (default: about 8,000 tokens)", wholeNumber(100)),
    render: flag("print for a model: each message as JSON in a fence of its own, after a preface"),
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
    const paths = startedInstance(context, name)
    const status = await showOrMark(context, paths, options)
    if (status !== undefined) return status
    noteOffline(context, paths.name)
    const cursor = reader === undefined ? undefined : ReaderCursor.open(paths, reader)
    // Handle signals before the first line is printed, so that an interrupt does not lose the reader's position.
    const signal = follow ? context.system.interruption() : undefined
    const view = await openView(context, options.render, {
      ...{ paths, reader, maxChars: options["max-chars"] },
      command: readCommand(reader, options.render),
    })
    /** Lines count as seen only after the write, because a broken pipe loses them. */
    const confirm = async (seq: number, printed: readonly number[] = []) => {
      if (cursor === undefined || options.peek) return
      // A reader that stalls must not keep an interrupted command from ending.
      if (!(await orAborted(context.io.flush(), signal))) return
      if (context.contextDoor !== undefined) cursor.take(printed, context.contextDoor)
      cursor.confirm(seq)
    }
    const isNew = ({ seq }: InboxEntry) => cursor?.has(seq) !== true
    const after = since ?? cursor?.seq
    const entries = entriesOf(context, paths, view, { after, last })
    const printed = view.print(only(entries, isNew))
    const seq = printed.at(-1) ?? after ?? 0
    await confirm(seq, printed)
    if (signal === undefined) return 0
    const { clock } = context
    for await (const entry of followInbox(paths, seq, { clock, signal, onDamaged: view.onDamaged })) {
      if (!isNew(entry)) continue
      view.printNew(entry)
      await confirm(entry.seq)
    }
    view.end()
    return interruptedStatus(signal)
  },
})

/** Returns the lines after a number, of these the newest `last`; with `--json` joins and leaves count too. */
function entriesOf(
  { config }: Context,
  paths: DaemonPaths,
  { onDamaged }: InboxView,
  { after, last }: { after: number | undefined; last: number | undefined },
): Iterable<InboxEntry> {
  const count = last ?? (after === undefined ? defaultLast : undefined)
  if (count === undefined) return readInbox(paths, { sinceSeq: after ?? 0 }, onDamaged)
  const newest = config.json
    ? readInbox(paths, { last: count }, onDamaged)
    : newestLines(paths, count, isReadable, onDamaged)
  return only(newest, ({ seq }) => seq > (after ?? 0))
}

/** Returns the command that prints what did not fit, without the program's name. */
function readCommand(reader: string | undefined, isRendered: boolean): string {
  const words = ["inbox", ...(reader === undefined ? [] : ["--reader", reader])]
  return [...words, ...(isRendered ? ["--render"] : [])].join(" ")
}

/** Does what --show or --ack asks for. @returns the exit status; undefined without either */
async function showOrMark(
  context: Context,
  paths: DaemonPaths,
  { show, ack, reader, render }: InboxOptions,
): Promise<number | undefined> {
  if (show !== undefined) {
    const entry = lineAt(paths, show)
    if (entry === undefined) throw new ChatError("NOT_FOUND", `--show: the inbox has no line ${show}`)
    await showEntry(context, render, entry)
    return 0
  }
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
  readonly render: boolean
  readonly peek: boolean
  readonly ack: number | undefined
  readonly "max-chars": number | undefined
}

function refuseMixed(
  { config }: Context,
  { since, reader, show, render, peek, "max-chars": maxChars }: InboxOptions,
): void {
  if (peek && reader === undefined) throw new ChatError("USAGE", "--peek: needs --reader NAME")
  if (since !== undefined && reader !== undefined) {
    throw new ChatError(
      "USAGE",
      "--since and --reader are mutually exclusive; a reader keeps its own position",
    )
  }
  if (show !== undefined && reader !== undefined) {
    throw new ChatError("USAGE", "--show and --reader are mutually exclusive")
  }
  if (render && config.json) throw new ChatError("USAGE", "--render and --json are mutually exclusive")
  if (maxChars !== undefined && config.json) {
    throw new ChatError("USAGE", "--max-chars and --json are mutually exclusive; use --last")
  }
}
