/** Files and directories that install reads, replaces and removes. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  realpathSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
} from "node:fs"
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path"
import { isMissing, listIfExists, readBytesIfExists, writeFileAtomic } from "../../base/files.js"

/** Larger than any configuration file. */
const maxBytes = 4 * 1024 * 1024

/** A text file as found; symbolic links are followed. */
export interface FoundFile {
  /** The path without symbolic links. */
  readonly path: string
  /** undefined if there is no file. */
  readonly text: string | undefined
  readonly stat: Stats | undefined
}

/**
 * Reads a file.
 * @param boundary - a directory that the file must not lead out of; undefined for anywhere
 * @throws {Error} saying why the file cannot be used
 */
export function readFound(path: string, boundary: string | undefined): FoundFile {
  const real = realPathOf(path)
  if (boundary !== undefined && !isInside(real, realpathSync(boundary))) {
    throw new Error(`leads out of the project by a symbolic link, to ${real}`)
  }
  const stat = statSync(real, { throwIfNoEntry: false })
  if (stat === undefined) return { path: real, text: undefined, stat }
  if (!stat.isFile()) throw new Error("is not a plain file")
  if (stat.size > maxBytes) throw new Error(`is larger than ${maxBytes} bytes`)
  const bytes = readBytesIfExists(real, maxBytes)
  return { path: real, text: bytes === undefined ? undefined : decode(bytes), stat }
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new Error("is not UTF-8")
  }
}

/** Resolves symbolic links as far as the path exists. @throws {Error} for a link to nothing */
function realPathOf(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (!isMissing(error)) throw error
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
      throw new Error("is a symbolic link to nothing", { cause: error })
    }
    const parent = dirname(path)
    return parent === path ? path : realPathOf(parent) + path.slice(parent === sep ? 0 : parent.length)
  }
}

function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path)
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}

/**
 * Replaces or creates a file atomically, with the mode and owner it had.
 * @throws {Error} if the file changed since it was read; the system error
 */
export function writeFound(found: FoundFile, text: string): void {
  assertUnchanged(found)
  mkdirSync(dirname(found.path), { recursive: true })
  writeFileAtomic(found.path, text, { mode: 0o644, like: found.stat, durable: true })
}

/** Returns the directories above a file that do not exist, outermost first. */
export function missingParents(path: string): string[] {
  const parent = dirname(path)
  return existsSync(parent) || parent === path ? [] : [...missingParents(parent), parent]
}

export function removeFound(found: FoundFile): void {
  assertUnchanged(found)
  rmSync(found.path)
}

function assertUnchanged({ path, text }: FoundFile): void {
  if (readFound(path, undefined).text !== text)
    throw new Error("was changed by another program just now; try again")
}

/** Removes what a process that was killed left of a replacement of the file. */
export function removeTemporaries(path: string): void {
  const name = basename(path)
  for (const one of listIfExists(dirname(path))) {
    const isOurs = one.startsWith(`${name}.`) && /^\.[0-9a-f]{12}\.tmp$/.test(one.slice(name.length))
    if (isOurs) rmSync(join(dirname(path), one), { force: true })
  }
}

/** Removes those directories that are empty, innermost first. @returns the ones that are left */
export function removeEmpty(directories: readonly string[]): string[] {
  return [...directories]
    .sort((a, b) => b.length - a.length)
    .filter((path) => {
      try {
        rmdirSync(path)
        return false
      } catch (error) {
        return !isMissing(error)
      }
    })
}
