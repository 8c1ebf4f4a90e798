/** Finds the repository of a directory by reading its files. Runs no program, because a checkout may name hooks to run. */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs"
import { basename, dirname, join, relative, resolve, sep } from "node:path"
import { claimPath } from "../../protocol/claims.js"
import { Fault } from "../../protocol/schema.js"

/** A checkout. */
export interface Repository {
  /** The directory of its root, absolute. */
  readonly root: string
  /** Its remote as `host/path` in lower case, or the name of its directory. */
  readonly name: string
}

/** Bytes read of a file of git. */
const maxBytes = 256 * 1024

/** Returns the repository that a directory belongs to; without one, the directory itself counts as one. */
export function findRepository(directory: string): Repository {
  for (let root = resolve(directory); ; root = dirname(root)) {
    const config = configOf(root)
    if (config !== undefined)
      return { root, name: nameOf(remoteIn(config)) ?? nameOf(basename(root)) ?? "repository" }
    if (dirname(root) === root) break
  }
  const root = resolve(directory)
  return { root, name: nameOf(basename(root)) ?? "repository" }
}

/**
 * Returns the path of a file from the root of a repository as claims have it. A directory means all that is in it.
 * @param path - absolute; may have `*`
 * @returns undefined if it is outside, or no path that can be claimed
 */
export function pathIn({ root }: Repository, path: string): string | undefined {
  const isFolder = path.endsWith("/") || path === root || isDirectory(path)
  const inside = relative(root, path).split(sep).join("/").normalize("NFC")
  const claimed = inside === "" ? "**" : isFolder ? `${inside}/**` : inside
  const read = claimPath.read(claimed)
  return read instanceof Fault ? undefined : read
}

/** Returns the text of the git config of a directory; undefined if it is no root of a checkout. */
function configOf(root: string): string | undefined {
  const git = join(root, ".git")
  if (isDirectory(git)) return existsSync(join(git, "HEAD")) ? (read(join(git, "config")) ?? "") : undefined
  // A worktree or a submodule: a file that names the directory.
  const target = /^gitdir: (.+)$/m.exec(read(git) ?? "")?.[1]
  if (target === undefined) return undefined
  const own = resolve(root, target.trim())
  const common = read(join(own, "commondir"))?.trim()
  return read(join(common === undefined ? own : resolve(own, common), "config")) ?? ""
}

/** Returns the URL of the remote `origin`, else of the first one. */
function remoteIn(config: string): string | undefined {
  const urls = new Map<string, string>()
  let remote: string | undefined
  for (const line of config.split(/\r?\n/)) {
    const section = /^\s*\[(.*)\]\s*$/.exec(line)?.[1]
    if (section !== undefined) remote = /^remote "(.*)"$/i.exec(section.trim())?.[1]
    const url = /^\s*url\s*=\s*"?([^"]*?)"?\s*$/i.exec(line)?.[1]
    if (remote !== undefined && url !== undefined && !urls.has(remote)) urls.set(remote, url)
  }
  return urls.get("origin") ?? [...urls.values()][0]
}

/**
 * Returns the name of a repository: a URL without scheme, user, password, port and `.git`; a path its last part. In
 * lower case, so that two spellings are one repository.
 */
export function nameOf(remote: string | undefined): string | undefined {
  if (remote === undefined) return undefined
  const [, authority, path] =
    /^[a-z][a-z0-9+.-]*:\/\/([^/]*)\/(.*)$/i.exec(remote) ??
    /^((?:[^/@:]+@)?[^/:]{2,}):(?!\/\/)(.*)$/.exec(remote) ??
    []
  const host = authority?.replace(/^.*@/, "").replace(/:\d+$/, "")
  const isLocal = host === undefined || host === "" || path === undefined
  const whole = isLocal ? basename(remote.replace(/\/+$/, "").replace(/\/?\.git$/i, "")) : `${host}/${path}`
  const segments = whole
    .replace(/[?#].*$/, "")
    .toLowerCase()
    .replace(/\.git\/?$/, "")
    .split("/")
    .flatMap((segment) => {
      const clean = segment.replaceAll(/[^a-z0-9._~-]+/g, "-")
      return clean === "" || clean === "." || clean === ".." ? [] : [clean]
    })
  const name = segments
    .join("/")
    .replace(/^[^a-z0-9_]+/, "")
    .slice(0, 200)
  return name === "" ? undefined : name
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** Reads the beginning of a plain file; undefined for anything else. */
function read(path: string): string | undefined {
  try {
    if (!statSync(path).isFile()) return undefined
    const descriptor = openSync(path, "r")
    try {
      const buffer = Buffer.alloc(maxBytes)
      return buffer.toString("utf8", 0, readSync(descriptor, buffer, 0, maxBytes, 0))
    } finally {
      closeSync(descriptor)
    }
  } catch {
    return undefined
  }
}
