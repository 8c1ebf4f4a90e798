import { existsSync } from "node:fs"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { type InboxEntry, readInbox } from "../../daemon/inbox/reader.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { defineCommand, flag, value } from "../command.js"
import type { Context } from "../context.js"
import { instancePathsOf, otherDaemonsHint } from "../daemon/daemon-choice.js"
import { interruptedStatus } from "../exit-status.js"
import { instanceName, nick, wholeNumber } from "../input/values.js"
import { formatMessage, makeColors } from "../output/message-text.js"

/** Number of lines printed by default: enough to see what happens, few enough for an agent's context. */
const defaultLast = 20

export const inbox = defineCommand({
  args: {},
  options: {
    follow: flag("keep printing new lines until interrupted"),
    last: value(
      "N",
      `only the newest N lines (default ${defaultLast} without --since and --reader)`,
      wholeNumber(1),
    ),
    since: value("SEQ", "only lines after number SEQ; 0 for all", wholeNumber(0)),
    reader: value("NAME", "only lines that reader NAME has not seen; mark them as seen", nick),
    name: value("NAME", 'name of the daemon (default "default")', instanceName, "daemon"),
  },
  takesUrl: false,
  examples: [
    "agentchat inbox",
    "agentchat inbox --reader me",
    "agentchat inbox --follow --reader me --json",
    "agentchat inbox --since 120 --last 50 --name alice",
  ],
  notes: ["With --json, prints each line as it is in inbox.jsonl."],
  async run(context, { options }) {
    const { io, config, system, clock } = context
    const { last, since, follow } = options
    const paths = await existingInbox(context, options.name)
    if (since !== undefined && options.reader !== undefined) {
      throw new ChatError(
        "USAGE",
        "--since and --reader are mutually exclusive; a reader keeps its own position",
      )
    }
    const cursor = options.reader === undefined ? undefined : await openCursor(paths, options.reader)
    const colors = makeColors(io.hasColor)
    const print = ({ text, fields }: InboxEntry) => io.out(config.json ? text : formatMessage(fields, colors))
    /** Lines count as seen only after the write, because a broken pipe loses them. */
    const confirm = async (seq: number) => {
      if (cursor === undefined) return
      await io.flush()
      cursor.confirm(seq)
    }
    // Handle signals before the first line is printed, so that an interrupt does not lose the reader's position.
    const signal = follow ? system.interruption() : undefined
    const after = since ?? cursor?.seq
    let seq = after ?? 0
    const onDamaged = (text: string) => io.err(`skipped a damaged line: ${text.slice(0, 80)}`)
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
  const option = name === undefined ? "" : ` --name ${name}`
  throw new ChatError("NOT_FOUND", `daemon ${paths.name} was never started here`, {
    hint:
      (await otherDaemonsHint(context, "all")) ??
      `start it: agentchat daemon --background${option}, or with a relay of its own: agentchat up`,
  })
}
