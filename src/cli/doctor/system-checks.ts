/** Checks of this machine: Node, the home, its keys, its file system. Nothing is written. */
import { existsSync, readFileSync, statfsSync, watch } from "node:fs"
import { join } from "node:path"
import { shellWord } from "../../base/command-hint.js"
import { listIfExists } from "../../base/files.js"
import { openHome } from "../../daemon/files/home.js"
import { isAbandoned } from "../../daemon/files/lock-file.js"
import { type DaemonPaths, instanceNames, type RootPaths } from "../../daemon/files/paths.js"
import { describeProcess } from "../../daemon/files/process-record.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { readStatus } from "../../daemon/status.js"
import { readSecretFile } from "../../identity/secret-file.js"
import { ChatError } from "../../protocol/errors.js"
import { shownPath } from "../config.js"
import type { Context } from "../context.js"
import { startCommand } from "../daemon/daemon-choice.js"
import type { Check } from "./check.js"

/** The least version of Node, as in package.json. */
const leastNode = [20, 19] as const

export function checkNode({ system }: Context): Check {
  const [major = 0, minor = 0] = system.nodeVersion.replace(/^v/, "").split(".").map(Number)
  const [leastMajor, leastMinor] = leastNode
  const text = `${system.nodeVersion}, agentchat ${system.version}`
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor))
    return { level: "ok", what: "node", text }
  const least = leastNode.join(".")
  return {
    level: "bad",
    what: "node",
    text: `${text}: older than ${least}`,
    fix: "install Node 22: nvm install 22",
  }
}

/** The checks of the home, if there is one. */
export function checkHome(context: Context): Check[] {
  const { config } = context
  const what = "home"
  if (!existsSync(config.home)) {
    return [{ level: "off", what, text: `${config.shownHome} does not exist yet`, fix: "agentchat up" }]
  }
  try {
    const root = openHome(config.home, config.uid)
    const instances = instanceNames(root).map((name) => root.instance(name))
    return [
      { level: "ok", what, text: `${config.shownHome} belongs to you alone` },
      ...checkKeys(context, root, instances),
      ...checkFileSystem(config.home),
      ...checkWatches(config.home),
      ...instances.flatMap((paths) => checkDaemon(context, paths)),
      ...checkLocks(context, root),
    ]
  } catch (error) {
    return [asCheck(what, error)]
  }
}

/** @throws the error if it is a bug of this program */
export function asCheck(what: string, error: unknown): Check {
  if (error instanceof ChatError) {
    return { level: "bad", what, text: error.message, ...(error.hint !== undefined && { fix: error.hint }) }
  }
  const { code, path } = (error ?? {}) as NodeJS.ErrnoException
  if (code === undefined) throw error
  return { level: "bad", what, text: `${path ?? what}: cannot be used (${code})` }
}

function checkKeys({ config }: Context, root: RootPaths, instances: readonly DaemonPaths[]): Check[] {
  const people = listIfExists(root.people).filter((name) => name.endsWith(".json"))
  const files = [
    ...new Set([root.identity, ...instances.map(({ identity }) => identity)]),
    ...people.map((name) => join(root.people, name)),
  ].filter((path) => existsSync(path))
  const bad = files.flatMap((path): Check[] => {
    try {
      readSecretFile(path)
      return []
    } catch (error) {
      return [asCheck("keys", error)]
    }
  })
  if (bad.length > 0) return bad
  const count = files.length === 1 ? shownPath(config, files[0] ?? "") : `${files.length} keys`
  return [
    { level: "ok", what: "keys", text: files.length === 0 ? "none yet" : `${count}: readable by you alone` },
  ]
}

/** File systems without events for what other machines write, by the magic number of statfs(2). */
const networkFileSystems: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB"],
  [0x01021997, "9p"],
  [0x5346414f, "AFS"],
])

function checkFileSystem(home: string): Check[] {
  const kind = networkFileSystems.get(Number(BigInt.asUintN(32, BigInt(statfsSync(home).type))))
  if (kind === undefined) return [{ level: "ok", what: "disk", text: "a local file system" }]
  const text = `the home is on ${kind}: lines are noticed late, and appends from two machines may mix`
  return [{ level: "warn", what: "disk", text, fix: "export AGENTCHAT_HOME=/var/tmp/agentchat" }]
}

/** Opens a watch as a daemon does, and closes it. */
function checkWatches(home: string): Check[] {
  const what = "watches"
  try {
    watch(home, { persistent: false }).close()
    return [{ level: "ok", what, text: "file events work" }]
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const name = code === "EMFILE" ? "max_user_instances" : "max_user_watches"
    const limit = numberIn(`/proc/sys/fs/inotify/${name}`)
    const text = `no more file events (${code ?? "unknown"}): fs.inotify.${name} is ${limit ?? "reached"}`
    return [{ level: "bad", what, text, fix: `sudo sysctl fs.inotify.${name}=${(limit ?? 1_024) * 4}` }]
  }
}

function numberIn(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8"))
  } catch {
    return undefined
  }
}

function checkDaemon({ clock }: Context, paths: DaemonPaths): Check[] {
  const what = "daemon"
  const status = readStatus(paths.status)
  const fix = startCommand(paths)
  if (readHolder(paths.record, clock.now()) === undefined) {
    if (status === undefined || status.state === "stopped") {
      return [{ level: "off", what, text: `${paths.name} does not run`, fix }]
    }
    return [{ level: "bad", what, text: `${paths.name} has died: its process is gone`, fix }]
  }
  if (status?.connected === true)
    return [{ level: "ok", what, text: `${paths.name} is connected to ${status.server}` }]
  const { message = "the relay has not answered yet", hint } = status?.reason ?? {}
  const text = `${paths.name} is not connected: ${message}`
  return [{ level: "bad", what, text, fix: hint ?? "agentchat status" }]
}

/** Locks that a process left behind. The next process that needs one takes it over. */
function checkLocks({ config, clock, system }: Context, root: RootPaths): Check[] {
  const owner = { process: describeProcess(system.pid), now: () => clock.now() }
  const folders = [root.root, ...instanceNames(root).map((name) => root.instance(name).dir)]
  const locks = folders.flatMap((folder) =>
    listIfExists(folder).flatMap((name) => (name.endsWith(".lock") ? [join(folder, name)] : [])),
  )
  const left = locks.filter((path) => isAbandoned(path, owner))
  if (left.length === 0) return [{ level: "ok", what: "locks", text: "none is left behind" }]
  return left.map((path) => {
    const text = `${shownPath(config, path)}: left behind by a process that died`
    return { level: "warn", what: "locks", text, fix: `rm -r ${shellWord(path)}` }
  })
}
