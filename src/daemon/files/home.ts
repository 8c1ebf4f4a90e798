/**
 * The rules for a home and the directories of its daemons. A checkout may bring a `.agentchat` of its own, whose links
 * would make the daemon read, empty or execute other files of its user.
 */
import { type BigIntStats, lstatSync, mkdirSync, realpathSync, statSync, writeFileSync } from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import { isMissing, listIfExists, readBytesIfExists, readIfExists } from "../../base/files.js"
import { ChatError } from "../../protocol/errors.js"
import { type DaemonPaths, type RootPaths, rootPaths } from "./paths.js"

const groupMayWrite = 0o020n
const othersMayWrite = 0o002n

/**
 * Returns the paths of a home that is used from now on. The home, and each daemon's directory when its paths are taken,
 * must consist of real directories of this user and of plain files, as far as they exist, which no git repository has.
 * @param uid - user of the process
 * @throws {ChatError} FILE_FAILED, naming the first entry that is something else
 */
export function openHome(root: string, uid: number): RootPaths {
  const paths = rootPaths(root)
  if (checkDirectory(paths.root, uid)) refuseTracked(paths.root)
  const { identity, gitignore, receipts, ratings, host, hostLog, relay, relayLog } = paths
  for (const path of [identity, gitignore, receipts, ratings, host, hostLog, relay, relayLog]) checkFile(path)
  checkDirectory(paths.daemons, uid)
  for (const dir of [paths.people, paths.relayData, paths.sessions])
    if (checkDirectory(dir, uid)) checkEntries(dir)
  return {
    ...paths,
    instance: (name) => {
      const instance = paths.instance(name)
      checkInstance(instance, uid)
      return instance
    },
  }
}

/** Everybody with a clone has the keys and messages that a repository contains. */
function refuseTracked(root: string): void {
  const tracked = trackedPath(root)
  if (tracked === undefined) return
  throw refuse(
    root,
    `its ${tracked} is in a git repository, whose other users have it too`,
    `if these files are yours: git rm -r --cached ${root}; otherwise remove them`,
  )
}

function checkInstance(paths: DaemonPaths, uid: number): void {
  if (!checkDirectory(paths.dir, uid)) return
  const { segments, outboxTaken, outboxDrop, rejectedDir, cursors } = paths
  for (const dir of [segments, outboxTaken, outboxDrop, rejectedDir, cursors]) checkDirectory(dir, uid)
  for (const dir of [paths.dir, segments, outboxTaken, rejectedDir, cursors]) checkEntries(dir)
}

/**
 * Refuses an outbox.jsonl with a hard link outside outbox.taken. Only for the process that holds the daemon's directory:
 * links come and go while a daemon runs.
 * @throws {ChatError} FILE_FAILED
 */
export function checkOutboxLinks({ outbox, outboxTaken }: DaemonPaths): void {
  const found = statOf(outbox)
  if (found === undefined) return
  const own = entriesOf(outboxTaken).filter((name) => statOf(join(outboxTaken, name))?.ino === found.ino)
  if (found.nlink > BigInt(own.length + 1))
    throw refuse(outbox, "has another hard link", "copy it, and remove it")
}

/** Checks every entry of a directory but directories. */
function checkEntries(dir: string): void {
  for (const name of entriesOf(dir)) checkFile(join(dir, name))
}

function entriesOf(dir: string): string[] {
  try {
    return listIfExists(dir)
  } catch (error) {
    throw cannotExamine(dir, error)
  }
}

function checkFile(path: string): void {
  const found = statOf(path)
  // A relay replaces its socket; a repository cannot contain one.
  const isSocket = found?.isSocket() === true && path.endsWith("/store.sock")
  if (found === undefined || found.isDirectory() || isSocket) return
  if (!found.isFile()) throw refuse(path, `is ${kindOf(found)}, not a plain file`, "remove it")
  // Files that are replaced as a whole may have a second name while that happens, and an outbox has one.
  const isAppendedTo = /(?<!\/outbox|\/outbox\.taken\/[^/]*)\.(jsonl|log|db)$/.test(path)
  if (isAppendedTo && found.nlink > 1n) throw refuse(path, "has another hard link", "copy it, and remove it")
}

/** @returns whether the directory exists */
function checkDirectory(path: string, uid: number): boolean {
  const found = statOf(path)
  if (found === undefined) return false
  if (found.isSymbolicLink()) {
    throw refuse(
      path,
      "is a symbolic link, not a directory",
      `name the directory itself: --home ${targetOf(path)}`,
    )
  }
  if (!found.isDirectory()) throw refuse(path, `is ${kindOf(found)}, not a directory`, "move it away")
  if (Number(found.uid) !== uid) {
    throw refuse(
      path,
      `belongs to user ${found.uid}, not to you`,
      "run agentchat as that user, or take it over: chown -R",
    )
  }
  // A group of one user has the user's number on most systems; with umask 002 its members may write.
  const others = found.gid === found.uid ? othersMayWrite : othersMayWrite | groupMayWrite
  if ((found.mode & others) !== 0n) throw refuse(path, "may be written by others", `chmod go-w ${path}`)
  return true
}

function targetOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return "DIR"
  }
}

function kindOf(found: BigIntStats): string {
  if (found.isSymbolicLink()) return "a symbolic link"
  if (found.isDirectory()) return "a directory"
  if (found.isFIFO()) return "a pipe"
  return found.isFile() ? "a file" : "a socket or device"
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true })
  } catch (error) {
    if (isMissing(error)) return undefined
    throw cannotExamine(path, error)
  }
}

function cannotExamine(path: string, error: unknown): ChatError {
  return refuse(path, `cannot be examined (${String((error as NodeJS.ErrnoException).code)})`)
}

function refuse(path: string, problem: string, hint?: string): ChatError {
  return new ChatError("FILE_FAILED", `${path}: ${problem}`, hint === undefined ? {} : { hint })
}

/**
 * Creates the `.agentchat` directory (0700) with a `.gitignore` of `*`, so that no key is ever committed.
 * Leaves existing files as they are.
 * @throws {ChatError} FILE_FAILED when the directory cannot be created
 */
export function ensureHome(paths: RootPaths): void {
  try {
    mkdirSync(paths.root, { recursive: true, mode: 0o700 })
    writeFileSync(paths.gitignore, "*\n", { mode: 0o600, flag: "wx" })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "EEXIST" && statOf(paths.gitignore) !== undefined) return
    throw new ChatError("FILE_FAILED", `${paths.root}: cannot be created (${String(code)})`, { cause: error })
  }
}

/**
 * Creates a directory (0700) unless it exists. Its parent must exist: nothing makes a daemon's directory again that was
 * removed or moved away while the daemon runs.
 * @returns whether it was created
 * @throws the system error
 */
export function ensureDirectory(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
    // A symbolic link would lead to a directory of somebody else.
    if (lstatSync(path).isDirectory()) return false
    throw error
  }
}

const maxIndexBytes = 512 * 1024 * 1024
/** Bytes of an entry before its object id, and between the object id and the path. */
const beforeId = 40
const flagBytes = 2
const isExtended = 0x4000

/**
 * Returns a file in the directory `home` that the git repository around it tracks; undefined if there is none. Reads the
 * repository's index itself: the configuration of a strange repository can make `git` run programs.
 * @see https://git-scm.com/docs/index-format
 */
function trackedPath(home: string): string | undefined {
  try {
    // The parent may be behind a symbolic link.
    const real = join(realpathSync(dirname(home)), basename(home))
    for (let dir = real; ; dir = dirname(dir)) {
      const gitDir = gitDirectoryAt(dir)
      if (gitDir !== undefined) return firstBelow(gitDir, relative(dir, real))
      if (dir === dirname(dir)) return undefined
    }
  } catch {
    // There is no repository that this user can read.
    return undefined
  }
}

function gitDirectoryAt(dir: string): string | undefined {
  const path = join(dir, ".git")
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined || found.isDirectory()) return found === undefined ? undefined : path
  const target = /^gitdir: (.+)/.exec(readIfExists(path) ?? "")?.[1]
  return target === undefined ? undefined : resolve(dir, target)
}

function firstBelow(gitDir: string, home: string): string | undefined {
  const commonDir = resolve(gitDir, readIfExists(join(gitDir, "commondir"))?.trim() ?? "")
  const idBytes = /^\s*objectformat\s*=\s*sha256/im.test(readIfExists(join(commonDir, "config")) ?? "")
    ? 32
    : 20
  // Some file systems do not distinguish case.
  const prefix = home === "" ? "" : `${Buffer.from(home).toString("latin1").toLowerCase()}/`
  const shared = listIfExists(gitDir).filter((name) => name.startsWith("sharedindex."))
  for (const name of ["index", ...shared]) {
    const index = readBytesIfExists(join(gitDir, name), maxIndexBytes)
    for (const path of index === undefined ? [] : pathsIn(index, idBytes)) {
      if (path.toLowerCase().startsWith(prefix) && path !== "") return path.slice(prefix.length)
      // Paths are sorted, and capital letters come first.
      if (path > prefix) break
    }
  }
  return undefined
}

/** Reads the paths in an index of version 2, 3 or 4, as latin1. */
function* pathsIn(index: Buffer, idBytes: number): Generator<string> {
  if (index.toString("latin1", 0, 4) !== "DIRC") return
  const isCompressed = index.readUInt32BE(4) === 4
  let at = 12
  let path = ""
  for (let left = index.readUInt32BE(8); left > 0; left--) {
    const flags = index.readUInt16BE(at + beforeId + idBytes)
    let start = at + beforeId + idBytes + flagBytes + ((flags & isExtended) === 0 ? 0 : flagBytes)
    let kept = ""
    if (isCompressed) {
      const removed = readOffset(index, start)
      start = removed.end
      kept = path.slice(0, Math.max(0, path.length - removed.value))
    }
    const end = index.indexOf(0, start)
    if (end < 0) return
    path = kept + index.toString("latin1", start, end)
    yield path
    // Other versions end an entry with 1 to 8 NULs, so that its size is a multiple of 8.
    at = isCompressed ? end + 1 : at + ((end - at + 8) & ~7)
  }
}

/** Reads a number in the encoding of offsets in a pack. */
function readOffset(bytes: Buffer, at: number): { value: number; end: number } {
  let byte = bytes.readUInt8(at++)
  let value = byte & 0x7f
  while ((byte & 0x80) !== 0) {
    byte = bytes.readUInt8(at++)
    value = (value + 1) * 128 + (byte & 0x7f)
  }
  return { value, end: at }
}
