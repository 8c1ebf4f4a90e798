import { JsonError, parseStrictJson } from "../base/strict-json.js"
import { isServerType, type ServerMessage } from "../protocol/server-messages.js"
import { serverMessageFields } from "./server-message-fields.js"

/** A JSON object nobody has looked at. */
export type Members = Readonly<Record<string, unknown>>

/**
 * Reads a relay's frame. Fields that are not of the protocol are left out.
 * @returns `undefined` for anything that is not a well-formed message: a hostile relay gets no further
 */
export function parseServerMessage(text: string): ServerMessage | undefined {
  const members = parseMembers(text)
  return members === undefined ? undefined : checkServerMessage(members)
}

/** The JSON object a frame holds, or `undefined`. */
export function parseMembers(text: string): Members | undefined {
  let value: unknown
  try {
    value = parseStrictJson(text)
  } catch (error) {
    if (error instanceof JsonError) return undefined
    throw error
  }
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Members) : undefined
}

/** {@link parseServerMessage} for a frame whose JSON is read already. */
export function checkServerMessage(members: Members): ServerMessage | undefined {
  const { type } = members
  if (typeof type !== "string" || !isServerType(type)) return undefined
  const message: Record<string, unknown> = { type }
  for (const { name, check } of serverMessageFields[type]) {
    const value = members[name]
    if (!check(value)) return undefined
    if (value !== undefined) message[name] = value
  }
  return message as ServerMessage
}
