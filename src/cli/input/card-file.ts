import { JsonError, parseStrictJson } from "../../base/strict-json.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentCard } from "../../protocol/message-fields.js"
import { readSmallFile } from "./named-file.js"

/**
 * Reads a card as an agent tells it to others; fields of an A2A AgentCard that are none of ours are left out.
 * @throws {ChatError} NOT_FOUND, FILE_FAILED; USAGE, naming the first field at fault
 */
export async function readCard(path: string): Promise<AgentCard> {
  const card = parse(path, readSmallFile(path, "--card"))
  const { validateClientMessage } = await import("../../protocol/parse-message.js")
  const read = validateClientMessage({ type: "IDENTIFY", name: "card", card })
  if ("message" in read && read.message.type === "IDENTIFY") return read.message.card ?? {}
  const problem = "refused" in read ? read.refused.error.message : "is no card"
  throw new ChatError("USAGE", `--card: ${path}: ${problem.replace(/^IDENTIFY\./, "")}`, {
    hint: 'write it like {"description":"reads patches","tags":["typescript"],"skills":[{"id":"review","name":"Review"}]}',
  })
}

function parse(path: string, bytes: Buffer): unknown {
  try {
    return parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (error) {
    const where = error instanceof JsonError && error.path !== "" ? ` at ${error.path}` : ""
    const what = error instanceof Error ? error.message.slice(0, 120) : "not JSON"
    throw new ChatError("USAGE", `--card: ${path}: is not JSON${where}: ${what}`, { cause: error })
  }
}
