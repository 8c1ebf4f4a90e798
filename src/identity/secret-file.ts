import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { dirname } from "node:path"
import { isMissing, syncDirectory, writeFileAtomic } from "../base/files.js"
import { ChatError } from "../protocol/errors.js"

/** The contents of a secret file, and its modification time in milliseconds since the Unix epoch. */
export interface SecretText {
  readonly text: string
  readonly modifiedTs: number
}

const maxFileBytes = 1024 * 1024
const ownerOnly = 0o600
const othersMask = 0o077
/** Errors of `link` on file systems without hard links. */
const noLinks = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"])

/**
 * Reads a file that only its owner can read.
 * @throws {ChatError} NOT_FOUND; BAD_IDENTITY if it is not a regular file, too large, or readable by others
 */
export function readSecretFile(path: string): SecretText {
  const fd = openSecretFile(path)
  try {
    const stat = fs.fstatSync(fd)
    if (!stat.isFile()) throw refuseIdentity(path, "is not a file")
    if (stat.size > maxFileBytes) throw refuseIdentity(path, `is larger than ${maxFileBytes} bytes`)
    if ((stat.mode & othersMask) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, "0")
      throw refuseIdentity(path, `is a secret others may read (mode ${mode})`, chmodHint(path))
    }
    return { text: fs.readFileSync(fd, "utf8"), modifiedTs: Math.trunc(stat.mtimeMs) }
  } finally {
    fs.closeSync(fd)
  }
}

/**
 * Creates a file (0600), atomically, and missing directories (0700).
 * @throws {ChatError} IDENTITY_EXISTS if the path exists; FILE_FAILED
 */
export function createSecretFile(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`
  try {
    fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    try {
      fs.writeFileSync(temporary, text, { flag: "wx", mode: ownerOnly, flush: true })
      giveName(temporary, path)
    } finally {
      fs.rmSync(temporary, { force: true })
    }
    syncDirectory(dirname(path))
  } catch (error) {
    throw describeWriteError(path, error)
  }
}

/** Replaces the contents of an existing file atomically. Follows symbolic links. @throws {ChatError} FILE_FAILED */
export function replaceSecretFile(path: string, text: string): void {
  try {
    writeFileAtomic(fs.realpathSync(path), text, { mode: ownerOnly, durable: true })
  } catch (error) {
    throw describeWriteError(path, error)
  }
}

/** Creates a BAD_IDENTITY error. `problem` must not quote the contents of the file. */
export function refuseIdentity(path: string, problem: string, hint?: string): ChatError {
  return new ChatError("BAD_IDENTITY", `${path}: ${problem}`, hint === undefined ? {} : { hint })
}

function openSecretFile(path: string): number {
  try {
    // O_NONBLOCK: a FIFO must not block the program.
    return fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (isMissing(error)) {
      const hint = "make one: agentchat identity --generate"
      throw new ChatError("NOT_FOUND", `${path}: no such identity file`, { hint })
    }
    throw refuseIdentity(
      path,
      `cannot be read (${String(code)})`,
      code === "EACCES" ? chmodHint(path) : undefined,
    )
  }
}

/** Renames a file, but never replaces an existing one. */
function giveName(temporary: string, path: string): void {
  try {
    fs.linkSync(temporary, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "EEXIST") throw new ChatError("IDENTITY_EXISTS", `${path}: exists and is never overwritten`)
    if (code === undefined || !noLinks.has(code)) throw error
    fs.copyFileSync(temporary, path, fs.constants.COPYFILE_EXCL)
  }
}

function describeWriteError(path: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code === undefined || error instanceof ChatError) return error
  return new ChatError("FILE_FAILED", `${path}: cannot be written (${code})`, { cause: error })
}

function chmodHint(path: string): string {
  const word = /^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
  return `chmod 600 ${word}`
}
