/** Reads the text that an argument refers to: standard input for `-`, or the file that an option names. */
import { readFileSync } from "node:fs"
import type { Readable } from "node:stream"
import { isMissing } from "../../base/files.js"
import { JsonError, parseStrictJson } from "../../base/strict-json.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultLimits } from "../../protocol/limits.js"

/** Largest file written by hand, in bytes. */
const maxSmallBytes = 64 * 1024

/** Returns an argument, or for `-` the text on standard input. @throws {ChatError} as {@link readText} */
export async function textArgument(text: string, input: Readable): Promise<string> {
  return text === "-" ? await readText(input) : text
}

/**
 * Reads standard input to its end and removes one newline there, as `$(…)` does.
 * @throws {ChatError} INVALID_MSG if it is larger than a message can be, or not UTF-8
 */
async function readText(input: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of input as AsyncIterable<Buffer>) {
    bytes += chunk.length
    chunks.push(chunk)
    if (bytes > defaultLimits.frameBytes) {
      throw new ChatError(
        "INVALID_MSG",
        `standard input: more than the ${defaultLimits.frameBytes} bytes of a message`,
        { hint: "put it into a file both can read, and send its path" },
      )
    }
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(Buffer.concat(chunks))
      .replace(/\r?\n$/, "")
  } catch (error) {
    throw new ChatError("INVALID_MSG", "standard input: is not UTF-8 text", { cause: error })
  }
}

/**
 * Reads a file that an option names.
 * @param label - the option
 * @throws {ChatError} NOT_FOUND, FILE_FAILED
 */
export function readNamedFile(path: string, label: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const name = isMissing(error) ? "NOT_FOUND" : "FILE_FAILED"
    throw new ChatError(name, `${label}: ${path} cannot be read (${String(code)})`, { cause: error })
  }
}

/**
 * Reads a text file that an option names.
 * @param label - the option
 * @param keepBom - whether a byte order mark is part of the text
 * @throws {ChatError} as {@link readNamedFile}; USAGE if it has more than `maxBytes` or is not UTF-8
 */
export function readSmallText(
  path: string,
  label: string,
  { maxBytes = maxSmallBytes, keepBom = false }: { maxBytes?: number; keepBom?: boolean } = {},
): string {
  const bytes = readNamedFile(path, label)
  if (bytes.length > maxBytes) {
    throw new ChatError("USAGE", `${label}: ${path}: has ${bytes.length} bytes; the limit is ${maxBytes}`)
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: keepBom }).decode(bytes)
  } catch (error) {
    throw new ChatError("USAGE", `${label}: ${path}: is not UTF-8 text`, { cause: error })
  }
}

/** Parses JSON. @throws {ChatError} USAGE with the label and the path of the fault */
export function parseJsonText(text: string, label: string): unknown {
  try {
    return parseStrictJson(text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const where = error.path === "" ? "" : ` at ${error.path}`
    throw new ChatError("USAGE", `${label}: is not JSON${where}: ${error.message.slice(0, 120)}`, {
      cause: error,
    })
  }
}
