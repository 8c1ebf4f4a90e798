import { readFileSync } from "node:fs"
import { writeFileAtomic } from "../../base/atomic-file.js"
import type { ChatError } from "../../protocol/errors.js"
import { asFileProblem } from "./file-problem.js"

/**
 * Reads a small file of state: one JSON object.
 * @returns no members for one that is missing or damaged: what it held can be found out again
 * @throws {ChatError} FILE_FAILED when it is there and cannot be read
 */
export function readStateFile(path: string): Readonly<Record<string, unknown>> {
  try {
    return parseObject(readFileSync(path, "utf8"))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {}
    throw asFileProblem(error, path)
  }
}

/** Replaces such a file as a whole. @returns why it could not, to be tried again */
export function writeStateFile(path: string, state: object): ChatError | undefined {
  try {
    writeFileAtomic(path, `${JSON.stringify({ v: 1, ...state })}\n`)
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
