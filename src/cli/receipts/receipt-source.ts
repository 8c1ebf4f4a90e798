/** Reads receipts from a file of lines of any size, from one JSON document, or from standard input. */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { JsonError, parsePlainJson } from "../../base/strict-json.js"
import type { KeyStatement } from "../../identity/succession.js"
import { type Receipt, readReceipt } from "../../proposals/receipt.js"
import { checkReceipt, type ReceiptCheck } from "../../proposals/receipt-check.js"
import { ChatError } from "../../protocol/errors.js"
import type { Context } from "../context.js"
import { type ReadableFile, readFileChunks, readFileLines } from "../input/file-lines.js"
import { isEnvelope, openEnvelope } from "./in-toto.js"
import { asNotFound, isBlank, type KeyRing, readKeyStatement } from "./key-statements.js"

export type Entry =
  | { readonly kind: "receipt"; readonly receipt: Receipt }
  | { readonly kind: "key"; readonly statement: KeyStatement }
  | { readonly kind: "invalid"; readonly problem: string }
  /** Of a type or version that this program does not know. */
  | { readonly kind: "unknown"; readonly problem: string; readonly isDecision?: true }

export interface PlacedEntry {
  /** Number of the line, or of the element in the array of a document; from 1. */
  readonly line: number
  readonly entry: Entry
}

const maxDocumentBytes = 128 * 1024 * 1024
/** White space of JSON. */
const space: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d])
const [newline, openBrace, openBracket] = [0x0a, 0x7b, 0x5b]
/** Start of every receipt, and of no statement about a key. */
const receiptStart = '{"accept":'

/**
 * Reads all entries of a file, line by line. A file that is one JSON document is read at once. `verifiers/RULES.md` has
 * the rules, which all verifiers follow.
 * @param skips - selects lines to skip unparsed
 * @throws {ChatError} NOT_FOUND if it does not exist or cannot be read
 */
export function* readEntries(
  file: ReadableFile,
  skips: (line: string) => boolean = () => false,
): Generator<PlacedEntry, void, undefined> {
  for (const placed of allEntries(file, skips)) {
    const { entry } = placed
    if (entry.kind !== "unknown" || entry.isDecision !== true) yield placed
  }
}

function* allEntries(
  file: ReadableFile,
  skips: (line: string) => boolean,
): Generator<PlacedEntry, void, undefined> {
  if (isDocument(file)) {
    yield* documentEntries(file)
    return
  }
  for (const { number, text } of linesOf(file)) {
    if (text !== undefined && isBlank(text)) continue
    if (text === undefined || !skips(text)) yield { line: number, entry: readEntry(text) }
  }
}

/** The verdict on one receipt of a file. */
export type Judged =
  | ({ readonly line: number; readonly receipt: Receipt } & Extract<ReceiptCheck, { status: "valid" }>)
  | { readonly line: number; readonly status: "invalid" | "undecided"; readonly problem: string }

/** Number of receipts verified between two pauses for output and other work of the process. */
const receiptsPerFlush = 64

/**
 * Verifies every receipt of a file.
 * @param keys - statements about keys to apply; those in the file are added
 * @throws {ChatError} as {@link readEntries}
 */
export async function* judgeReceipts(
  { io }: Pick<Context, "io">,
  file: ReadableFile,
  keys: KeyRing,
): AsyncGenerator<Judged, void, undefined> {
  for (const { entry } of readEntries(file, (line) => line.startsWith(receiptStart))) {
    if (entry.kind === "key") keys.add(entry.statement)
  }
  let judged = 0
  for (const { line, entry } of readEntries(file)) {
    if (entry.kind === "key") continue
    if (entry.kind === "receipt") {
      const { receipt } = entry
      const check = checkReceipt(receipt, keys.of(receipt))
      yield check.status === "valid" ? { line, receipt, ...check } : { line, ...check }
    } else {
      yield { line, status: entry.kind === "invalid" ? "invalid" : "undecided", problem: entry.problem }
    }
    if (++judged % receiptsPerFlush === 0) await io.flush()
  }
}

/**
 * Copies standard input to a temporary file for the duration of `use`, because receipts are read more than once.
 * @throws {ChatError} NOT_FOUND if it cannot be read or copied
 */
export async function withInputFile<T>(input: Readable, use: (file: number) => T | Promise<T>): Promise<T> {
  let file: number | undefined
  try {
    try {
      file = openUnlinked()
      await pipeline(input, createWriteStream("", { fd: file, autoClose: false }))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // FILE_FAILED would exit with 1, which means an invalid receipt.
      throw new ChatError("NOT_FOUND", `standard input: cannot be copied (${String(code)})`, { cause: error })
    }
    return await use(file)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/**
 * Calls `use` with a file of receipts that can be read more than once: a pipe, such as /dev/stdin or that of `<(command)`,
 * is copied first.
 * @throws {ChatError} as {@link withInputFile}
 */
export async function withReceipts<T>(path: string, use: (file: ReadableFile) => T | Promise<T>): Promise<T> {
  const stat = statSync(path, { throwIfNoEntry: false })
  const isStream = stat?.isFIFO() === true || stat?.isSocket() === true || stat?.isCharacterDevice() === true
  return isStream ? await withInputFile(createReadStream(path), use) : await use(path)
}

/** Opens a file that is already deleted, so that nothing is left however the program ends. */
function openUnlinked(): number {
  const dir = mkdtempSync(join(tmpdir(), "agentchat-"))
  try {
    return openSync(join(dir, "input"), "wx+", 0o600)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function* linesOf(file: ReadableFile): ReturnType<typeof readFileLines> {
  try {
    yield* readFileLines(file)
  } catch (error) {
    throw asNotFound(error)
  }
}

function* documentEntries(file: ReadableFile): Generator<PlacedEntry, void, undefined> {
  const value = parseDocument(file)
  const values: readonly unknown[] = Array.isArray(value) ? value : [value]
  for (const [index, item] of values.entries()) yield { line: index + 1, entry: entryOf(item) }
}

/** Reports whether the first character that is not white space is `[`, or a `{` that is alone on its line. */
function isDocument(file: ReadableFile): boolean {
  let hasBrace = false
  try {
    for (const chunk of readFileChunks(file, 0)) {
      for (const byte of chunk) {
        if (hasBrace && byte === newline) return true
        if (space.has(byte)) continue
        if (hasBrace || byte !== openBrace) return !hasBrace && byte === openBracket
        hasBrace = true
      }
    }
  } catch (error) {
    throw asNotFound(error)
  }
  return hasBrace
}

/** @returns undefined if the file is not one JSON document */
function parseDocument(file: ReadableFile): unknown {
  const chunks: Buffer[] = []
  // Read one byte more than the limit, to detect a larger file.
  for (const chunk of readFileChunks(file, 0, maxDocumentBytes + 1)) chunks.push(Buffer.from(chunk))
  const bytes = Buffer.concat(chunks)
  if (bytes.length > maxDocumentBytes) return undefined
  try {
    return parsePlainJson(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch (error) {
    if (error instanceof JsonError || error instanceof TypeError) return undefined
    throw error
  }
}

/**
 * Reads the entry on one line. Does not verify the signatures of a receipt.
 * @param text - undefined for a line that is not UTF-8 or too long
 */
export function readEntry(text: string | undefined): Entry {
  if (text === undefined) return { kind: "invalid", problem: "is not UTF-8, or longer than 1 MiB" }
  try {
    return entryOf(parsePlainJson(text))
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    if (!/^[ \t\r\uFEFF]*\{/.test(text)) return { kind: "unknown", problem: "is not a receipt" }
    if (text.startsWith("\uFEFF")) {
      return { kind: "invalid", problem: "starts with a byte order mark, which JSON does not allow" }
    }
    const where = error.path === "" ? "" : `${error.path.slice(0, 60)}: `
    return { kind: "invalid", problem: `${where}is not JSON that all parsers read alike` }
  }
}

function entryOf(value: unknown): Entry {
  if (typeof value !== "object" || value === null) return { kind: "unknown", problem: "is not a receipt" }
  try {
    return isEnvelope(value) ? { kind: "receipt", receipt: openEnvelope(value) } : bareEntryOf(value)
  } catch (error) {
    if (error instanceof ChatError) return { kind: "invalid", problem: error.message }
    throw error
  }
}

function bareEntryOf(value: object): Entry {
  const { type, v } = value as Partial<Record<string, unknown>>
  if (type === "DECISION" && v === 1)
    return { kind: "unknown", problem: "is the answer of a person", isDecision: true }
  const isKey = type === "ROTATION" || type === "REVOCATION"
  if (type !== "RECEIPT" && !isKey) return { kind: "unknown", problem: "type: is not RECEIPT" }
  if (v !== 1) return { kind: "unknown", problem: "v: is an unknown version" }
  if (isKey) return { kind: "key", statement: readKeyStatement(value) }
  return { kind: "receipt", receipt: readReceipt(value) }
}
