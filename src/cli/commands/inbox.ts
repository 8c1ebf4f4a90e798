import { existsSync } from "node:fs"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { type InboxEntry, readInbox } from "../../daemon/inbox/reader.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { defineCommand, flag, value } from "../command.js"
import { type Context, interruptedStatus } from "../context.js"
import { instancePathsOf } from "../input/instance-choice.js"
import { instanceName, nick, wholeNumber } from "../input/values.js"
import { makePaint } from "../output/colors.js"
import { formatMessage } from "../output/message-text.js"

/** Lines shown when nothing else is said: enough to see what goes on, few enough for an agent's context. */
const defaultLast = 20

export const inbox = defineCommand({
  args: {},
  options: {
    follow: flag("go on with what comes, until interrupted"),
    last: value("N", `only the newest N lines; ${defaultLast} unless --since or --reader`, wholeNumber(1)),
    since: value("SEQ", "lines after number SEQ; 0 for all that are kept", wholeNumber(0)),
    reader: value("NAME", "what this reader has not had yet, and remember that it has", nick),
    name: value("NAME", "the inbox of the daemon NAME instead of default", instanceName, "daemon"),
  },
  takesUrl: false,
  examples: [
    "agentchat inbox",
    "agentchat inbox --reader me",
    "agentchat inbox --follow --reader me --json",
    "agentchat inbox --since 120 --last 50 --name alice",
  ],
  notes: ["Text for people; --json prints the lines as they stand in the file, for programs."],
  async run(context, { options }) {
    const { io, config, system, clock } = context
    const { last, since, follow } = options
    const paths = await existingInbox(context, options.name)
    if (since !== undefined && options.reader !== undefined) {
      throw new ChatError("USAGE", "--since: not together with --reader, which knows where it is")
    }
    const cursor = options.reader === undefined ? undefined : await openCursor(paths, options.reader)
    const paint = makePaint(io.hasColor)
    const print = ({ text, fields }: InboxEntry) => io.out(config.json ? text : formatMessage(fields, paint))
    /** What was printed into a pipe that broke was not read: only after the write it counts. */
    const confirm = async (seq: number) => {
      if (cursor === undefined) return
      await io.flush()
      cursor.confirm(seq)
    }
    // From before the first line on: whoever saw one may interrupt, and its reader's place must be kept then.
    const signal = follow ? system.interruption() : undefined
    const after = since ?? cursor?.seq
    let seq = after ?? 0
    const onDamaged = (text: string) => io.talk(`a damaged line is passed over: ${text.slice(0, 80)}`)
    for (const entry of selectLines(paths, after, last, onDamaged)) {
      print(entry)
      seq = entry.seq
    }
    await confirm(seq)
    if (signal === undefined) return 0
    const { followInbox } = await import("../../daemon/inbox/reader.js")
    for await (const entry of followInbox(paths, seq, { clock, signal, onDamaged })) {
      print(entry)
      await confirm(entry.seq)
    }
    return interruptedStatus(signal)
  },
})

async function openCursor(paths: DaemonPaths, reader: string) {
  const { ReaderCursor } = await import("../../daemon/inbox/reader-cursor.js")
  return ReaderCursor.open(paths, reader)
}

function* selectLines(
  paths: DaemonPaths,
  after: number | undefined,
  last: number | undefined,
  onDamaged: (text: string) => void,
) {
  const newest = last ?? (after === undefined ? defaultLast : undefined)
  const range = newest === undefined ? { sinceSeq: after ?? 0 } : { last: newest }
  for (const entry of readInbox(paths, range, onDamaged)) if (entry.seq > (after ?? 0)) yield entry
}

async function existingInbox(context: Context, name: InstanceName | undefined): Promise<DaemonPaths> {
  const paths = instancePathsOf(context.config, name)
  if (existsSync(paths.dir)) return paths
  const { otherDaemonsHint } = await import("../daemon/other-daemons.js")
  const flag = name === undefined ? "" : ` --name ${name}`
  throw new ChatError("NOT_FOUND", `daemon ${paths.name} was never started here`, {
    hint:
      otherDaemonsHint(context, "all") ??
      `start it: agentchat daemon --background${flag}, or with a relay of its own: agentchat up`,
  })
}
