import { readFileSync } from "node:fs"
import { JsonError, parseStrictJson } from "../base/strict-json.js"
import type { AgentCard } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"

const largestBytes = 64 * 1024

/**
 * Reads a card as an agent tells it to others; fields of an A2A AgentCard that are none of ours are left out.
 * @throws {ChatError} NOT_FOUND, FILE_FAILED; USAGE, naming the first field at fault
 */
export async function readCard(path: string): Promise<AgentCard> {
  const card = parse(path, readFile(path))
  const { validateClientMessage } = await import("../protocol/parse-client-message.js")
  const read = validateClientMessage({ type: "IDENTIFY", name: "card", card })
  if ("message" in read && read.message.type === "IDENTIFY") return read.message.card ?? {}
  const problem = "refused" in read ? read.refused.error.message : "is no card"
  throw new ChatError("USAGE", `--card: ${path}: ${problem.replace(/^IDENTIFY\./, "")}`, {
    hint: 'write it like {"description":"reads patches","tags":["typescript"],"skills":[{"id":"review","name":"Review"}]}',
  })
}

function parse(path: string, bytes: Buffer): unknown {
  if (bytes.length > largestBytes) {
    throw new ChatError(
      "USAGE",
      `--card: ${path}: has ${bytes.length} bytes; at most ${largestBytes} are read`,
    )
  }
  try {
    return parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (error) {
    const where = error instanceof JsonError && error.path !== "" ? ` at ${error.path}` : ""
    const what = error instanceof Error ? error.message.slice(0, 120) : "not JSON"
    throw new ChatError("USAGE", `--card: ${path}: is not JSON${where}: ${what}`, { cause: error })
  }
}

function readFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const name = code === "ENOENT" ? "NOT_FOUND" : "FILE_FAILED"
    throw new ChatError(name, `--card: ${path} cannot be read (${String(code)})`, { cause: error })
  }
}
