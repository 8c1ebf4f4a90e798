import type { IncomingMessage } from "node:http"
import { JsonError, parseStrictJson } from "../../base/strict-json.js"
import { isFrameId } from "../../protocol/message-id.js"
import { Fault, type Schema } from "../../protocol/schema.js"
import { detail, invalid, Refusal } from "./answers.js"

const defaultLimit = 50
const maxLimit = 500

/** Reads the body of a request. @throws {Refusal} 413 if it is longer than `most` bytes */
export async function readBody(request: IncomingMessage, most: number): Promise<string> {
  // Node reads no body of a request that offers another protocol.
  if (request.headers.upgrade !== undefined) return ""
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > most)
      throw new Refusal({ ...detail(413, `body: is longer than ${most} bytes`), headers: close })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString("utf8")
}

const close = { Connection: "close" } as const

/** Reads JSON that fits a schema. @throws {Refusal} 422 */
export function parseBody<T>(body: string, schema: Schema<T, unknown>): T {
  let value: unknown
  try {
    value = parseStrictJson(body)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    throw invalid(["body"], `is no JSON: ${error.message}`)
  }
  const read = schema.read(value)
  if (!(read instanceof Fault)) return read
  throw invalid(["body", ...(read.path === "" ? [] : read.path.split("."))], read.problem)
}

/** Returns the whole number of a query parameter; undefined if it is absent. @throws {Refusal} 422 */
export function wholeOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  if (!/^[+-]?\d{1,15}$/.test(text.trim())) throw invalid(["query", name], "must be a whole number")
  return Number(text)
}

/** Returns `limit`, from 1 to 500. @throws {Refusal} 422 */
export function limitOf(query: URLSearchParams): number {
  return Math.min(maxLimit, Math.max(1, wholeOf(query, "limit") ?? defaultLimit))
}

const truths: ReadonlySet<string> = new Set(["true", "1", "yes", "on", "t", "y"])
const falsehoods: ReadonlySet<string> = new Set(["false", "0", "no", "off", "f", "n"])

/** @throws {Refusal} 422 */
export function booleanOf(query: URLSearchParams, name: string, absent: boolean): boolean {
  const text = query.get(name)?.toLowerCase()
  if (text === undefined) return absent
  if (truths.has(text)) return true
  if (falsehoods.has(text)) return false
  throw invalid(["query", name], "must be true or false")
}

/** Returns the id in `If-Match: "12"`. @throws {Refusal} 422 */
export function ifMatchOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const [, id] = /^"?(\d{1,15})"?$/.exec(header.trim()) ?? []
  if (id === undefined)
    throw invalid(["header", "If-Match"], "must be the id of a state event, or 0 if there is none")
  return Number(id)
}

/** Returns the key of an event. @throws {Refusal} 422 */
export function keyOf(header: string): string {
  if (isFrameId(header)) return header
  throw invalid(["header", "Idempotency-Key"], "must be 1-64 of A-Z a-z 0-9 . _ : ~ -")
}
