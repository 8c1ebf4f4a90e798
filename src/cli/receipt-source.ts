/** Where receipts are read from: a file of lines of any size, one JSON document, or standard input. */
import { createWriteStream, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { JsonError, parseStrictJson } from "../base/strict-json.js"
import { ChatError } from "../protocol/errors.js"
import { readFileLines } from "./file-lines.js"
import { KeyRing } from "./key-statements.js"
import { type Entry, entryOf, readEntry } from "./receipt-entry.js"

/** An entry, and where it stands. */
export interface PlacedEntry {
  /** The line, or of a document the place in its array; from 1. */
  readonly line: number
  readonly entry: Entry
}

const largestDocumentBytes = 128 * 1024 * 1024
/** How every receipt begins, and no statement about a key does. */
const receiptStart = '{"accept":'

/**
 * Everything in a file, a line at a time. A file that holds one JSON document over several lines is read at once.
 * @throws {ChatError} NOT_FOUND when it is not there or cannot be read
 */
export function* readEntries(path: string): Generator<PlacedEntry, void, undefined> {
  let isFirst = true
  for (const { number, text } of linesOf(path)) {
    if (text?.trim() === "") continue
    if (isFirst && text !== undefined && /^\s*(\[|\{\s*$)/.test(text)) {
      yield* documentEntries(path)
      return
    }
    isFirst = false
    yield { line: number, entry: readEntry(text) }
  }
}

/**
 * Every statement about a key that stands in a file of receipts and is signed as it must be.
 * @throws {ChatError} as {@link readEntries}
 */
export function addKeysAmongReceipts(ring: KeyRing, path: string): void {
  for (const { text } of linesOf(path)) {
    if (text === undefined || text.startsWith(receiptStart)) continue
    if (/^\s*(\[|\{\s*$)/.test(text)) {
      for (const { entry } of documentEntries(path)) if (entry.kind === "key") ring.add(entry.statement)
      return
    }
    const entry = readEntry(text)
    if (entry.kind === "key") ring.add(entry.statement)
  }
}

/**
 * Puts what comes on standard input into a file, for as long as `use` runs: it is read more than once.
 * @throws {ChatError} NOT_FOUND when it cannot be read, or there is no room for it
 */
export async function withInputFile<T>(input: Readable, use: (path: string) => Promise<T>): Promise<T> {
  let dir: string | undefined
  try {
    try {
      dir = mkdtempSync(join(tmpdir(), "agentchat-"))
      await pipeline(input, createWriteStream(join(dir, "input"), { mode: 0o600 }))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // Not FILE_FAILED: its exit status is that of an invalid receipt.
      throw new ChatError("NOT_FOUND", `standard input: cannot be kept (${String(code)})`, { cause: error })
    }
    return await use(join(dir, "input"))
  } finally {
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true })
  }
}

/** A file that cannot be read is no verdict on what is in it. */
function* linesOf(path: string): ReturnType<typeof readFileLines> {
  try {
    yield* readFileLines(path)
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "FILE_FAILED") throw error
    throw new ChatError("NOT_FOUND", error.message, { cause: error })
  }
}

function* documentEntries(path: string): Generator<PlacedEntry, void, undefined> {
  const value = parseDocument(path)
  const values: readonly unknown[] = Array.isArray(value) ? value : [value]
  for (const [index, item] of values.entries()) yield { line: index + 1, entry: entryOf(item) }
}

/** @returns undefined for what is no document */
function parseDocument(path: string): unknown {
  if (statSync(path).size > largestDocumentBytes) return undefined
  try {
    return parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path)))
  } catch (error) {
    if (error instanceof JsonError || error instanceof TypeError) return undefined
    throw error
  }
}
