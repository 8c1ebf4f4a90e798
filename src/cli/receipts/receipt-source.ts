/** Where receipts are read from: a file of lines of any size, one JSON document, or standard input. */
import { closeSync, createWriteStream, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { JsonError, parseStrictJson } from "../../base/strict-json.js"
import { ChatError } from "../../protocol/errors.js"
import { type ReadableFile, readFileChunks, readFileLines } from "../input/file-lines.js"
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
 * @param isPassedOver - lines that need not be read
 * @throws {ChatError} NOT_FOUND when it is not there or cannot be read
 */
export function* readEntries(
  file: ReadableFile,
  isPassedOver: (line: string) => boolean = () => false,
): Generator<PlacedEntry, void, undefined> {
  let isFirst = true
  for (const { number, text } of linesOf(file)) {
    if (text?.trim() === "") continue
    if (isFirst && text !== undefined && /^\s*(\[|\{\s*$)/.test(text)) {
      yield* documentEntries(file)
      return
    }
    isFirst = false
    if (text === undefined || !isPassedOver(text)) yield { line: number, entry: readEntry(text) }
  }
}

/**
 * Every statement about a key that stands in a file of receipts and is signed as it must be.
 * @throws {ChatError} as {@link readEntries}
 */
export function addKeysAmongReceipts(ring: KeyRing, file: ReadableFile): void {
  for (const { entry } of readEntries(file, (line) => line.startsWith(receiptStart))) {
    if (entry.kind === "key") ring.add(entry.statement)
  }
}

/**
 * Keeps what comes on standard input for as long as `use` runs: it is read more than once.
 * @throws {ChatError} NOT_FOUND when it cannot be read, or there is no room for it
 */
export async function withInputFile<T>(input: Readable, use: (file: number) => Promise<T>): Promise<T> {
  let file: number | undefined
  try {
    try {
      file = openNameless()
      await pipeline(input, createWriteStream("", { fd: file, autoClose: false }))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // Not FILE_FAILED: its exit status is that of an invalid receipt.
      throw new ChatError("NOT_FOUND", `standard input: cannot be kept (${String(code)})`, { cause: error })
    }
    return await use(file)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** A file that is in no directory any more: however the program ends, nothing of it is left. */
function openNameless(): number {
  const dir = mkdtempSync(join(tmpdir(), "agentchat-"))
  try {
    return openSync(join(dir, "input"), "wx+", 0o600)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** A file that cannot be read is no verdict on what is in it. */
function* linesOf(file: ReadableFile): ReturnType<typeof readFileLines> {
  try {
    yield* readFileLines(file)
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "FILE_FAILED") throw error
    throw new ChatError("NOT_FOUND", error.message, { cause: error })
  }
}

function* documentEntries(file: ReadableFile): Generator<PlacedEntry, void, undefined> {
  const value = parseDocument(file)
  const values: readonly unknown[] = Array.isArray(value) ? value : [value]
  for (const [index, item] of values.entries()) yield { line: index + 1, entry: entryOf(item) }
}

/** @returns undefined for what is no document */
function parseDocument(file: ReadableFile): unknown {
  const chunks: Buffer[] = []
  // A byte more tells whether that is all.
  for (const chunk of readFileChunks(file, 0, largestDocumentBytes + 1)) chunks.push(Buffer.from(chunk))
  const bytes = Buffer.concat(chunks)
  if (bytes.length > largestDocumentBytes) return undefined
  try {
    return parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch (error) {
    if (error instanceof JsonError || error instanceof TypeError) return undefined
    throw error
  }
}
