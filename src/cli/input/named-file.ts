import { readFileSync } from "node:fs"
import { ChatError } from "../../protocol/errors.js"

/** Bytes of a file that somebody wrote by hand. */
const handwrittenBytes = 64 * 1024

/**
 * Reads a file that a flag names.
 * @param label - the flag
 * @throws {ChatError} NOT_FOUND, FILE_FAILED
 */
export function readNamedFile(path: string, label: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const name = code === "ENOENT" ? "NOT_FOUND" : "FILE_FAILED"
    throw new ChatError(name, `${label}: ${path} cannot be read (${String(code)})`, { cause: error })
  }
}

/** The same of one that is not large. @throws {ChatError} as {@link readNamedFile}; USAGE when it is over 64 KiB */
export function readSmallFile(path: string, label: string): Buffer {
  const bytes = readNamedFile(path, label)
  if (bytes.length <= handwrittenBytes) return bytes
  throw new ChatError(
    "USAGE",
    `${label}: ${path}: has ${bytes.length} bytes; at most ${handwrittenBytes} are read`,
  )
}

/** The same as text. @throws {ChatError} as {@link readSmallFile}; USAGE when it is not UTF-8 */
export function readSmallText(path: string, label: string): string {
  const bytes = readSmallFile(path, label)
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch (error) {
    throw new ChatError("USAGE", `${label}: ${path}: is not UTF-8 text`, { cause: error })
  }
}
