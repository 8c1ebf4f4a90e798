import { JsonError, parseStrictJson } from "../../base/strict-json.js"
import { type Receipt, readReceipt } from "../../proposals/receipt.js"
import type { KeyStatement } from "../../proposals/verdict.js"
import { ChatError } from "../../protocol/errors.js"
import { isEnvelope, openEnvelope } from "./in-toto.js"
import { readKeyStatement } from "./key-statements.js"

/** What stands in one place of a file of receipts. */
export type Entry =
  | { readonly kind: "receipt"; readonly receipt: Receipt }
  | { readonly kind: "key"; readonly statement: KeyStatement }
  | { readonly kind: "invalid"; readonly problem: string }
  /** Nothing we know how to judge. */
  | { readonly kind: "unknown"; readonly problem: string }

/** Reads one line. Looks at no signature of a receipt. @param text - undefined for what cannot be text */
export function readEntry(text: string | undefined): Entry {
  if (text === undefined) return { kind: "invalid", problem: "is not UTF-8, or longer than 1 MiB" }
  try {
    return entryOf(parseStrictJson(text), text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    if (!text.trimStart().startsWith("{")) return { kind: "unknown", problem: "is not a receipt" }
    if (text.startsWith("\uFEFF")) {
      return { kind: "invalid", problem: "begins with a byte order mark, which JSON does not have" }
    }
    const where = error.path === "" ? "" : `${error.path.slice(0, 60)}: `
    return { kind: "invalid", problem: `${where}is not JSON that every reader reads alike` }
  }
}

/**
 * Reads a value that was parsed strictly.
 * @param text - all that it was parsed from, if that was one line: a receipt has one spelling there
 */
export function entryOf(value: unknown, text?: string): Entry {
  if (typeof value !== "object" || value === null) return { kind: "unknown", problem: "is not a receipt" }
  try {
    return isEnvelope(value) ? { kind: "receipt", receipt: openEnvelope(value) } : bareEntryOf(value, text)
  } catch (error) {
    if (error instanceof ChatError) return { kind: "invalid", problem: error.message }
    throw error
  }
}

function bareEntryOf(value: object, text: string | undefined): Entry {
  const { type, v } = value as Partial<Record<string, unknown>>
  const isKey = type === "ROTATION" || type === "REVOCATION"
  if (type !== "RECEIPT" && !isKey) return { kind: "unknown", problem: "type: is not RECEIPT" }
  if (v !== 1) return { kind: "unknown", problem: "v: is a version that is not known here" }
  if (isKey) return { kind: "key", statement: readKeyStatement(value) }
  return { kind: "receipt", receipt: readReceipt(value, text) }
}
