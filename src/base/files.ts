/**
 * Opens files that a checkout or another program may have replaced by a symbolic link, a pipe or a device. All files of
 * a home are opened here, or with the same flags.
 */
import { randomBytes } from "node:crypto"
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  writeSync,
} from "node:fs"
import { dirname } from "node:path"

const { O_RDONLY, O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants

/** More than any file that is read at once may have. */
const maxBytes = 16 * 1024 * 1024

/** Reports whether an error of the file system means that nothing is at the path. */
export function isMissing(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException
  return code === "ENOENT" || code === "ENOTDIR"
}

/**
 * Opens a plain file. Neither follows a symbolic link nor waits for the other end of a pipe.
 * @throws the system error; ELOOP for a link, EISDIR for a directory, EFTYPE for a pipe, socket or device
 */
export function openPlain(path: string, flags = O_RDONLY, mode = 0o600): number {
  let fd: number
  try {
    fd = openSync(path, flags | O_NOFOLLOW | O_NONBLOCK, mode)
  } catch (error) {
    // A pipe that nobody reads, or a socket.
    throw (error as NodeJS.ErrnoException).code === "ENXIO" ? fileError("EFTYPE", path) : error
  }
  const found = fstatSync(fd)
  if (found.isFile()) return fd
  closeSync(fd)
  throw fileError(found.isDirectory() ? "EISDIR" : "EFTYPE", path)
}

/** Opens a plain file for reading; undefined if it does not exist. @throws as {@link openPlain} */
export function openIfExists(path: string): number | undefined {
  try {
    return openPlain(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Calls `use` with an open file; undefined if it does not exist. @throws as {@link openPlain} */
export function withFile<T>(path: string, use: (fd: number, found: Stats) => T): T | undefined {
  const fd = openIfExists(path)
  if (fd === undefined) return undefined
  try {
    return use(fd, fstatSync(fd))
  } finally {
    closeSync(fd)
  }
}

/**
 * Reads a whole file as UTF-8; undefined if it does not exist.
 * @param limit - bytes (default 16 MiB)
 * @throws as {@link openPlain}; EFBIG if it is larger
 */
export function readIfExists(path: string, limit = maxBytes): string | undefined {
  return readBytesIfExists(path, limit)?.toString("utf8")
}

/** Does the same as {@link readIfExists} for bytes. */
export function readBytesIfExists(path: string, limit: number): Buffer | undefined {
  return withFile(path, (fd, { size }) => {
    if (size > limit) throw fileError("EFBIG", path)
    const bytes = Buffer.alloc(size)
    let filled = 0
    for (let read = -1; read !== 0 && filled < size; filled += read) {
      read = readSync(fd, bytes, filled, size - filled, filled)
    }
    return bytes.subarray(0, filled)
  })
}

/** Lists the names in a directory; none if nothing is at the path. @throws the system error */
export function listIfExists(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []
    throw error
  }
}

/** Appends text to a plain file, which is created with mode 0600. @throws as {@link openPlain} */
export function appendPlain(path: string, text: string): void {
  const fd = openPlain(path, O_WRONLY | O_APPEND | O_CREAT)
  try {
    writeAll(fd, Buffer.from(text))
  } finally {
    closeSync(fd)
  }
}

/** Writes all bytes at the file's current position. */
export function writeAll(fd: number, data: Uint8Array): void {
  for (let offset = 0; offset < data.length; ) offset += writeSync(fd, data, offset)
}

/** Options of {@link writeFileAtomic}. */
export interface AtomicWriteOptions {
  /** Permission bits of the new file (default 0600). */
  readonly mode?: number
  /** The file to replace: the new one gets its mode and, as far as the process may give it, its owner. */
  readonly like?: Stats | undefined
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
      if (options.like !== undefined) makeLike(fd, options.like)
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

function makeLike(fd: number, { uid, gid, mode }: Stats): void {
  const own = fstatSync(fd)
  try {
    if (own.uid !== uid || own.gid !== gid) fchownSync(fd, uid, gid)
  } catch {
    // Only root may give files away.
  }
  fchmodSync(fd, mode & 0o7777)
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

const messages = {
  EISDIR: "illegal operation on a directory",
  EFTYPE: "not a plain file",
  EFBIG: "file too large",
}

function fileError(code: keyof typeof messages, path: string): NodeJS.ErrnoException {
  const error = new Error(`${code}: ${messages[code]}, open '${path}'`)
  return Object.assign(error, { code, syscall: "open", path })
}
