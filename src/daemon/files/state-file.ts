import { readIfExists, writeFileAtomic } from "../../base/files.js"
import { formatJsonLine } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { asFileProblem } from "./file-problems.js"

/**
 * Reads a small state file that holds one JSON object.
 * @returns an empty object when the file is missing or damaged: its content can be recovered from elsewhere
 * @throws {ChatError} FILE_FAILED when the file exists and cannot be read
 */
export function readStateFile(path: string): Readonly<Record<string, unknown>> {
  try {
    return parseObject(readIfExists(path) ?? "")
  } catch (error) {
    throw asFileProblem(error, path)
  }
}

/** The version of the state files of a daemon. */
const stateVersion = 1

/** Refuses state files of a later version, which this one would misread and replace. @throws {ChatError} UNSUPPORTED */
export function refuseNewer(paths: readonly string[]): void {
  for (const path of paths) {
    const { v } = readStateFile(path)
    if (typeof v !== "number" || v <= stateVersion) continue
    throw new ChatError(
      "UNSUPPORTED",
      `${path}: was written by a newer agentchat (version ${v}; this one supports ${stateVersion})`,
      { hint: "use that agentchat version, or another --name" },
    )
  }
}

/** Replaces a state file atomically. @returns the error, if any; the caller tries again later */
export function writeStateFile(path: string, state: object): ChatError | undefined {
  try {
    writeFileAtomic(path, `${formatJsonLine({ v: stateVersion, ...state })}\n`)
    return undefined
  } catch (error) {
    return asFileProblem(error, path)
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
