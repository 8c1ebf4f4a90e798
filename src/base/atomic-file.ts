import { randomBytes } from "node:crypto"
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs"
import { dirname } from "node:path"
import { writeAll } from "./plain-file.js"

/** Options of {@link writeFileAtomic}. */
export interface AtomicWriteOptions {
  /** Permission bits of the new file (default 0600). */
  readonly mode?: number
  /** Also survive a power cut, not only the end of this process; costs two fsyncs (default false). */
  readonly durable?: boolean
}

/** Replaces a file atomically: a reader sees the old content or the new, never a mixture. */
export function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: AtomicWriteOptions = {},
): void {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`
  try {
    const fd = openSync(temporary, "wx", options.mode ?? 0o600)
    try {
      writeAll(fd, typeof data === "string" ? Buffer.from(data) : data)
      if (options.durable === true) fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  if (options.durable === true) syncDirectory(dirname(path))
}

/** Makes renames and new files in the directory `path` survive a power cut. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, "r")
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
