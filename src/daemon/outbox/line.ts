import { isUtf8 } from "node:buffer"
import { isPlain } from "../../base/plain.js"
import { JsonError, parseStrictJson } from "../../base/strict-json.js"
import { type ClientMessage, type OutboxType, outboxTypes } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { frameIdRule, isFrameId } from "../../protocol/message-id.js"
import { excerpt } from "../../protocol/names.js"
import { validateClientMessage } from "../../protocol/parse-message.js"
import type { Draft } from "../../protocol/statements.js"
import { isVerb, type Verb } from "../../protocol/verbs.js"
import { readDraft } from "./draft-line.js"
import { closestName, hintForField, hintForSyntax, shellExample } from "./line-hint.js"

/** A validated message of {@link outboxTypes}; a {@link Draft} is signed before it is sent. */
export type OutboxFrame = ClientMessage<Exclude<OutboxType, Verb>> | Draft

const knownTypes: ReadonlySet<string> = new Set(outboxTypes)

/** Reports whether a frame is signed before it is sent. */
export function isDraft(frame: OutboxFrame): frame is Draft {
  return isVerb(frame.type)
}

/** Reports whether a request may be sent before this frame. It may depend on any other one, such as a JOIN. */
export function mayBeOvertaken(frame: OutboxFrame): boolean {
  return frame.type === "MSG" || isDraft(frame)
}

/** A line that is not a message: the error, and its own `id` if it has a valid one. */
export interface BadLine {
  readonly error: ChatError
  readonly id: string | undefined
}

/**
 * Parses one line, without its newline, as a message. `type` defaults to MSG.
 * @param defaultId - `id` of a message that has none; a draft keeps its own, or gets none
 * @returns the frame, or an INVALID_MSG that names the field and has a hint
 */
export function readOutboxLine(line: Buffer, defaultId?: string): { frame: OutboxFrame } | { bad: BadLine } {
  if (isUtf16(line)) {
    return bad(
      "the line has NUL bytes, as text in UTF-16 has",
      "write it as UTF-8 (iconv -f utf-16 -t utf-8)",
    )
  }
  if (!isUtf8(line)) {
    return bad("the line is not valid UTF-8", "write it as UTF-8 (iconv -f latin1 -t utf-8)")
  }
  const text = withoutByteOrderMark(line.toString("utf8"))
  let value: unknown
  try {
    value = parseStrictJson(text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    return badJson(error)
  }
  if (!isPlain(value)) return bad("the line is not a JSON object", `write ${shellExample}`)
  return readMessage(value, defaultId)
}

/** Reports whether a line has as many NUL bytes as a JSON object in UTF-16 has at least. */
function isUtf16(line: Buffer): boolean {
  if (!line.includes(0)) return false
  const nuls = line.reduce((count, byte) => (byte === 0 ? count + 1 : count), 0)
  return nuls > line.length / 4 && nuls < line.length
}

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
/** NUL bytes in a row that are a hole in the file rather than text in UTF-16. */
const hole = Buffer.alloc(4)

/**
 * Finds where two lines were joined: behind a whole object whose newline was forgotten, or at a hole that another
 * program left when it emptied the file.
 * @returns the end of the first line and the start of the second; undefined if it is one line
 */
export function findJoint(line: Buffer): { readonly end: number; readonly next: number } | undefined {
  const end = line.indexOf(hole)
  if (end > 0) {
    const length = line.subarray(end).findIndex((byte) => byte !== 0)
    return length < 0 ? undefined : { end, next: end + length }
  }
  const objectEnd = endOfObject(line)
  if (objectEnd === undefined) return undefined
  const rest = line.toString("latin1", objectEnd)
  const spaces = rest.length - rest.trimStart().length
  return rest[spaces] === "{" ? { end: objectEnd, next: objectEnd + spaces } : undefined
}

/** Returns the offset behind the object that a line begins with; undefined if it has no end. */
function endOfObject(line: Buffer): number | undefined {
  let depth = 0
  let isText = false
  for (let i = 0; i < line.length; i++) {
    const byte = line[i]
    if (isText && byte === backslash) i++
    else if (byte === quote) isText = !isText
    else if (isText) continue
    else if (byte === openBrace) depth++
    else if (byte === closeBrace && --depth <= 0) return i + 1
  }
  return undefined
}

function readMessage(
  value: Record<string, unknown>,
  defaultId: string | undefined,
): { frame: OutboxFrame } | { bad: BadLine } {
  if (!Object.hasOwn(value, "type")) value["type"] = "MSG"
  const { type } = value
  if (typeof type === "string" && !isOutboxType(type)) return badType(value, type)
  if (typeof type === "string" && isVerb(type)) return readDraftLine(type, value)
  if (defaultId !== undefined && !Object.hasOwn(value, "id")) value["id"] = defaultId
  const parsed = validateClientMessage(value)
  if ("message" in parsed) return { frame: parsed.message as OutboxFrame }
  return badField(value, parsed.refused)
}

function badField(
  value: Readonly<Record<string, unknown>>,
  { error, id }: { readonly error: ChatError; readonly id: string | undefined },
): { bad: BadLine } {
  const [, field, reason = ""] = /^(?:[A-Z_]+\.)?([a-z_]+)(?:[.[].*)?: (.*)$/s.exec(error.message) ?? []
  if (field === undefined) return bad(error.message, undefined, id)
  return bad(describeField(value, field, reason), error.hint ?? hintForField(value, field), id)
}

function readDraftLine(
  type: Verb,
  value: Readonly<Record<string, unknown>>,
): { frame: OutboxFrame } | { bad: BadLine } {
  const id = ownId(value)
  if (Object.hasOwn(value, "id") && id === undefined) {
    return bad(`id: ${frameIdRule}`, undefined)
  }
  try {
    return { frame: readDraft(type, value) }
  } catch (error) {
    if (error instanceof ChatError) return { bad: { error, id } }
    throw error
  }
}

function describeField(value: Readonly<Record<string, unknown>>, field: string, reason: string): string {
  const given = value[field]
  if (field !== "to" || typeof given !== "string") return `${field}: ${reason}`
  return `to: ${JSON.stringify(excerpt(given))} is neither a #channel nor an @agent nor a +role`
}

function badType(value: Readonly<Record<string, unknown>>, type: string): { bad: BadLine } {
  const close = closestName(type, outboxTypes)
  const hint =
    close === undefined ? `use one of ${outboxTypes.join(", ")}` : `did you mean ${JSON.stringify(close)}?`
  return bad(`type: ${JSON.stringify(excerpt(type))} is not a type of outbox line`, hint, ownId(value))
}

function badJson({ path, message, fault }: JsonError): { bad: BadLine } {
  if (fault !== undefined) return bad(message, hintForSyntax[fault.kind])
  return bad(path === "" ? `the line is ${message}` : `${path}: ${message}`, undefined)
}

function bad(message: string, hint: string | undefined, id?: string): { bad: BadLine } {
  return { bad: { error: new ChatError("INVALID_MSG", message, hint === undefined ? {} : { hint }), id } }
}

function ownId(value: Readonly<Record<string, unknown>>): string | undefined {
  const id = value["id"]
  return isFrameId(id) ? id : undefined
}

function isOutboxType(type: string): boolean {
  return knownTypes.has(type)
}

/** Removes the byte order mark that some editors write at the beginning of a file. */
function withoutByteOrderMark(text: string): string {
  return text.startsWith("\ufeff") ? text.slice(1) : text
}
