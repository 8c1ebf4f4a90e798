import { realpathSync, statSync } from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import { listIfExists, readBytesIfExists, readIfExists } from "../../base/plain-file.js"

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
export function trackedPath(home: string): string | undefined {
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
