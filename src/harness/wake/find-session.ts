import { homedir } from "node:os"
import { join } from "node:path"
import type { Clock } from "../../base/clock.js"
import { DirectoryChange } from "../../daemon/files/directory-change.js"
import type { RootPaths } from "../../daemon/files/paths.js"
import type { SessionDoors, WakeDoor } from "../../daemon/wake/session-doors.js"
import type { InstanceName } from "../../protocol/names.js"
import type { Harness } from "../harness.js"
import { isLive, listSessions, type SessionRecord } from "../sessions.js"

/** The system as the doors use it. */
export interface DoorSystem {
  readonly clock: Clock
  readonly env: NodeJS.ProcessEnv
  /** Of this user. */
  readonly uid: number
}

type Doors = (record: SessionRecord, root: RootPaths, system: DoorSystem) => Promise<(WakeDoor | undefined)[]>

/** The doors of each harness, the strongest first. Any other one is reached at its next hook, or by `agentchat wait`. */
const doorsOf: Partial<Record<Harness, Doors>> = {
  claude: async (record, root, { clock, uid }) => [
    (await import("./claude-socket.js")).claudeSocketDoor(record.door, uid),
    (await import("./claude-rewake.js")).claudeRewakeDoor(root, record, clock),
  ],
  codex: async ({ door, session, cwd }, _root, { env }) => {
    const home = env["CODEX_HOME"] ?? join(env["HOME"] ?? homedir(), ".codex")
    const { codexQueueDoor } = await import("./codex-queue.js")
    return [codexQueueDoor(door.thread ?? session, { home, cwd, env })]
  },
  opencode: async ({ door, session }) => [
    (await import("./opencode-prompt.js")).opencodePromptDoor(door.server, session),
  ],
  amp: async ({ session }, root, { clock }) => [
    (await import("./ring-file.js")).ringFileDoor(root, session, {
      ...{ clock, method: "amp-append", taker: "amp: the plugin" },
    }),
  ],
}

/**
 * Returns a function that finds the newest session of an agent that has not ended, and the ways to reach it. It reads the
 * records again only after one of them has changed.
 */
export function sessionFinder(
  root: RootPaths,
  system: DoorSystem,
): (name: InstanceName) => Promise<SessionDoors | undefined> {
  const change = new DirectoryChange(root.sessions)
  let records: readonly SessionRecord[] = []
  return async (name) => {
    if (change.isDue) records = listSessions(root)
    const record = records.find((each) => each.agent === name && isLive(each))
    if (record === undefined) return undefined
    const doors = (await doorsOf[record.harness]?.(record, root, system)) ?? []
    return {
      state: `${record.session} ${record.event_at}`,
      isBusy: record.state === "working",
      doors: doors.filter((door) => door !== undefined),
    }
  }
}
