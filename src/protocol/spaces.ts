import { ChatError } from "./errors.js"

declare const brand: unique symbol
/** The name of a space: 1–22 lower-case letters, digits and `-`, the first and the last no `-`. */
export type SpaceName = string & { readonly [brand]: "SpaceName" }

/** Most spaces of one process. */
export const maxSpaces = 32

// It becomes a directory, also where `A` and `a` are the same, and a part of the names of NATS, which has at most 32 characters.
const namePattern = /^[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?$/
const prefix = "/space/"

export function isSpaceName(text: string): text is SpaceName {
  return namePattern.test(text)
}

/** Parses the name of a space. Repairs nothing. @throws {ChatError} INVALID_NAME */
export function parseSpaceName(text: string): SpaceName {
  if (isSpaceName(text)) return text
  throw new ChatError(
    "INVALID_NAME",
    `space: ${JSON.stringify(text.slice(0, 40))} is no name of a space; expected 1-22 of a-z, 0-9 and -, no - at the ends`,
  )
}

/** Returns the path of a space in addresses. */
export function spacePath(name: SpaceName): string {
  return `${prefix}${name}`
}

/**
 * Splits the path of an address.
 * @returns undefined if the path is of no space; else what follows `/space/` up to the next slash, which need not be the
 * name of a space, and the rest, such as `/health`, without a last slash
 */
export function splitSpacePath(path: string): { readonly name: string; readonly rest: string } | undefined {
  if (!path.startsWith(prefix)) return undefined
  const end = path.indexOf("/", prefix.length)
  const name = end === -1 ? path.slice(prefix.length) : path.slice(prefix.length, end)
  return { name, rest: end === -1 ? "" : path.slice(end).replace(/\/$/, "") }
}
