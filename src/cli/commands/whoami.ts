import { existsSync } from "node:fs"
import { completeHint } from "../../base/command-hint.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { readInbox } from "../../daemon/inbox/reader.js"
import { ReaderCursor } from "../../daemon/inbox/reader-cursor.js"
import { type DaemonStatus, identityFileOf } from "../../daemon/status.js"
import {
  type Channel,
  type ChannelPattern,
  isChannelPattern,
  matchesAny,
  persistentIdPattern,
} from "../../protocol/names.js"
import { defineCommand } from "../command.js"
import { shownPath } from "../config.js"
import type { Context } from "../context.js"
import { chooseInstance, daemonName } from "../daemon/daemon-choice.js"
import { daemonStatus, notConnectedError, notRunningError } from "../daemon/daemon-state.js"
import { defaultReader, lineFilter, readerOption } from "../daemon/inbox-wait.js"
import { reportFailure, reportSuccess } from "../exit-status.js"
import { describeStop } from "../output/status-report.js"
import { formatTime } from "../output/time.js"

/** Lines looked at to count what is unread. */
const maxCounted = 10_000

export const whoami = defineCommand({
  args: {},
  options: { reader: readerOption, name: daemonName },
  takesUrl: false,
  examples: ["agentchat whoami", "agentchat whoami --json", "agentchat whoami || agentchat up"],
  notes: ["Exit 0 if the daemon is connected to its relay, 8 if it runs and is not, 3 if it does not run."],
  run(context, { options }) {
    const { reader = defaultReader } = options
    const paths = chooseInstance(context, options.name)
    const { status, running } = daemonStatus(context, paths.name)
    const unread = countUnread(paths, reader)
    const document = documentOf(context, paths, status, { reader, ...unread })
    const lines = describe(context, document).map((line) =>
      formatForTerminal(completeHint(line, context.config.hintOptions)),
    )
    if (running && status?.connected === true) {
      return Promise.resolve(reportSuccess(context, document, lines))
    }
    const error = running ? notConnectedError(paths.name, status) : notRunningError(paths.name, status)
    if (!context.config.json && status !== undefined) for (const line of lines) context.io.out(line)
    return Promise.resolve(reportFailure(context, error, { ...document }))
  },
})

/** Counts of unread messages and of other unread lines. */
interface Unread {
  /** The reader whose position counts. */
  readonly reader: string
  readonly count: number
  readonly direct: number
  readonly mentions: number
  readonly tasks: number
  /** True if there is more than was counted. */
  readonly more: boolean
}

function countUnread(paths: DaemonPaths, reader: string): Omit<Unread, "reader"> {
  const cursor = ReaderCursor.open(paths, reader)
  const none = { for: undefined, from: undefined, type: undefined, mention: false, dm: false, task: false }
  const [all, dm, mention, task] = [
    none,
    { ...none, dm: true },
    { ...none, mention: true },
    { ...none, task: true },
  ].map((options) => lineFilter(options, paths))
  const counts = { count: 0, direct: 0, mentions: 0, tasks: 0, more: false }
  let looked = 0
  for (const { seq, fields } of readInbox(paths, { sinceSeq: cursor.seq })) {
    if (++looked > maxCounted) return { ...counts, more: true }
    if (cursor.has(seq) || all?.matches(fields) !== true) continue
    counts.count += 1
    if (dm?.matches(fields) === true) counts.direct += 1
    if (mention?.matches(fields) === true) counts.mentions += 1
    if (task?.matches(fields) === true) counts.tasks += 1
  }
  return counts
}

/** The document of `--json`. */
interface Facts {
  readonly daemon: string
  readonly name: string | null
  readonly agent_id: string | null
  /** True if the agent has a key; an id without one is given for one session. */
  readonly verified: boolean
  /** The file of the key, as a user would type it; null if there is none. */
  readonly identity: string | null
  readonly home: string
  readonly server: string | null
  readonly state: string
  readonly connected: boolean
  /** When the state began, milliseconds since the Unix epoch. */
  readonly since: number | null
  readonly presence: DaemonStatus["presence"]
  /** True if the agent is an operator of the relay; null if that is not known. */
  readonly operator: boolean | null
  /** See {@link DaemonStatus}. */
  readonly rights: DaemonStatus["rights"]
  readonly channels: readonly string[]
  readonly patterns: readonly string[]
  readonly tasks: readonly string[]
  readonly guards: DaemonStatus["guards"]
  readonly unread: Unread
}

/** Fallback for a daemon that has written no status; older ones do not write all of it. */
const unknown = {
  ...{ nick: null, agent_id: null, server: null, state: "stopped", connected: false, since: null },
  ...{ presence: null, operator: null, rights: null, channels: [], patterns: [], tasks: [], guards: [] },
}

function documentOf(
  { config }: Context,
  paths: DaemonPaths,
  status: DaemonStatus | undefined,
  unread: Unread,
): Facts {
  const file = identityFileOf(paths)
  const { nick, agent_id, server, state, connected, since, presence, operator, rights, ...lists } = {
    ...unknown,
    ...status,
  }
  const { channels, patterns, tasks, guards } = lists
  return {
    daemon: paths.name,
    name: nick,
    agent_id,
    verified: agent_id !== null && persistentIdPattern.test(agent_id),
    identity: existsSync(file) ? shownPath(config, file) : null,
    home: config.home,
    ...{ server, state, connected, since, presence, operator, rights },
    ...{ channels, patterns, tasks, guards, unread },
  }
}

function describe({ clock }: Context, facts: Facts): string[] {
  const { daemon, name, agent_id, identity, server, state, since, presence, operator, rights } = facts
  const { channels, patterns, tasks, guards, unread } = facts
  const joined = [...channels, ...patterns]
  const spoken = joined.filter((name) => mayWrite(rights, name))
  const role = presence?.role === undefined ? "" : `; work for +${presence.role}`
  const office = { true: "; operator of the relay", false: "; no operator", null: "" }[String(operator)] ?? ""
  const begun = since === null ? "" : ` since ${formatTime(since, clock.now())}`
  return [
    `you       ${name ?? "no name yet"} ${agent_id ?? "(no id yet)"}, daemon ${daemon}`,
    `identity  ${identity ?? "none: the id is for this session only"}`,
    `relay     ${server ?? "none"}, ${state}${begun}`,
    `may       speak in ${spoken.length === 0 ? "no channel" : spoken.join(" ")}${role}${office}`,
    ...describeRights(rights),
    ...(presence === null ? [] : [`presence  ${presence.status}`]),
    ...(tasks.length === 0 ? [] : [`tasks     ${tasks.join(" ")}`]),
    ...guards.map((stop) => describeStop(stop, clock.now())),
    `unread    ${describeUnread(unread)}`,
  ]
}

/** Reports whether grants allow writing to a channel, or to all channels of a pattern. */
function mayWrite(rights: DaemonStatus["rights"], name: string): boolean {
  if (rights === null || rights === undefined) return true
  const write = rights.write as (Channel | ChannelPattern)[]
  return isChannelPattern(name)
    ? rights.write.some((each) => each === name || each === "#>")
    : matchesAny(write, name as Channel)
}

function describeRights(rights: DaemonStatus["rights"]): string[] {
  if (rights === null || rights === undefined) return []
  const { profile, read, write, roles, exp } = rights
  const end = exp === undefined ? "" : `; until ${new Date(exp).toISOString()}`
  const named = (names: readonly string[]) =>
    names.length === 0 ? "nothing" : formatForTerminal(names.join(" "))
  const text = `reads ${named(read)}; writes ${named(write)}; serves ${named(roles)}${end}`
  return [`grant     ${formatForTerminal(profile)}: ${text}`]
}

function describeUnread({ reader, count, direct, mentions, tasks, more }: Unread): string {
  if (count === 0 && !more) return `nothing for reader ${reader}; next: agentchat wait --reader ${reader}`
  const parts = [
    ...(direct > 0 ? [`${direct} direct`] : []),
    ...(mentions > 0 ? [`${mentions} with your name`] : []),
    ...(tasks > 0 ? [tasks === 1 ? "1 task" : `${tasks} tasks`] : []),
  ]
  const of = parts.length === 0 ? "" : ` (${parts.join(", ")})`
  return `${count}${more ? " or more" : ""}${of}; read: agentchat inbox --reader ${reader}`
}
