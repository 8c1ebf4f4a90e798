/** Starts, informs and ends the daemon that speaks for a session of a harness. A hook never waits for it. */
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { writeFileAtomic } from "../../base/files.js"
import { omitUndefined } from "../../base/plain.js"
import { type DaemonPaths, instanceNames, type RootPaths } from "../../daemon/files/paths.js"
import { processState } from "../../daemon/files/process-record.js"
import { readStatus } from "../../daemon/status.js"
import {
  hashOf,
  isLive,
  listSessions,
  type SessionRecord,
  type SessionState,
  writeSession,
} from "../../harness/sessions.js"
import type { PresenceState } from "../../protocol/client-messages.js"
import { formatCommandId } from "../../protocol/message-id.js"
import type { Context } from "../context.js"

const presenceOf = {
  ...{ working: "working", waiting: "waiting", idle: "idle" },
  // Only the end of the daemon's session takes an agent offline.
  ended: "away",
} as const satisfies Record<SessionState, PresenceState>

/**
 * Passes the state of a session to its daemon, unless the daemon has it already or is not connected. A later state takes
 * the place of one that the daemon has not read yet.
 * @returns the state that the daemon has now
 * @throws the system error
 */
export function reportState(
  { system }: Pick<Context, "system">,
  paths: DaemonPaths,
  record: SessionRecord,
): SessionState | undefined {
  const { state, reported, session } = record
  if (state === reported || readStatus(paths.status)?.connected !== true) return reported
  if (!existsSync(paths.outboxDrop)) return reported
  const line = omitUndefined({
    type: "SET_PRESENCE",
    status: presenceOf[state],
    activity: state === "waiting" ? "for its user" : undefined,
    id: formatCommandId(system.pid, randomBytes(9).toString("base64url")),
  })
  writeFileAtomic(join(paths.outboxDrop, `session-${hashOf(session)}.json`), `${JSON.stringify(line)}\n`)
  return state
}

/** Returns the relay that a directory uses: the one of the environment, or that of the daemon that ran last. */
export function knownRelay({ config }: Pick<Context, "config">, root: RootPaths): string | undefined {
  if (config.server !== undefined) return config.server
  return instanceNames(root)
    .flatMap((name) => readStatus(root.instance(name).status) ?? [])
    .sort((a, b) => b.updated - a.updated)
    .map(({ server }) => server)[0]
}

/** Starts the daemon of a session in a process of its own, and does not wait for it. */
export async function startSessionDaemon(
  context: Context,
  root: RootPaths,
  name: string,
  server: string,
): Promise<void> {
  await spawnProgram(context, ["daemon", server, "--background", "--name", name, "--home", root.root])
}

/** Ends the daemon of a session that has ended, unless another session of the same agent goes on. */
export async function stopSessionDaemon(
  context: Context,
  root: RootPaths,
  { agent, session }: SessionRecord,
): Promise<void> {
  const isUsed = listSessions(root).some(
    (other) => other.agent === agent && other.session !== session && isLive(other),
  )
  if (!isUsed) await spawnProgram(context, ["daemon", "--stop", "--name", agent, "--home", root.root])
}

/** A session whose process is not known counts as ended after a day without an event. */
const silentMs = 86_400_000
/** Sessions that one hook ends: each costs a process. */
const maxEnded = 3

/** Ends the daemons of sessions whose harness is gone and reported no end, as after a crash. */
export async function endLostSessions(context: Context, root: RootPaths): Promise<void> {
  const nowMs = context.clock.now()
  const isLost = ({ owns_daemon, state, process, event_at }: SessionRecord) =>
    owns_daemon &&
    state !== "ended" &&
    (process === undefined ? nowMs - event_at > silentMs : processState(process) === "dead")
  for (const record of listSessions(root).filter(isLost).slice(0, maxEnded)) {
    writeSession(root, { ...record, state: "ended" })
    await stopSessionDaemon(context, root, record)
  }
}

async function spawnProgram({ system }: Context, args: readonly string[]): Promise<void> {
  const { spawnInBackground } = await import("../../daemon/process/background-process.js")
  const child = spawnInBackground(system.nodePath, [system.scriptPath, ...args, "--quiet"], [])
  child.on("error", () => {})
  child.unref()
}
