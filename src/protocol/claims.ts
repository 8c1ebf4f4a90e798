/** Claims: which agent edits which files of a repository. */
import { agentRef, count } from "./message-fields.js"
import { type InputOf, list, matching, openObject, optional, string, text, whole } from "./schema.js"

/** Most paths of one claim. */
export const maxPaths = 16
/** Seconds that a claim lasts without `seconds`, and at most. */
export const defaultClaimSeconds = 1_800
const maxClaimSeconds = 86_400
const maxNote = 200

/** A repository: its remote as `host/path`, or a name. */
export const repositoryName = matching(
  /^(?=.{1,200}$)[a-z0-9_][a-z0-9._~-]*(?:\/[a-z0-9._~-]+)*$/,
  "must be a repository such as github.com/owner/name, or a name: 1-200 lower-case letters, digits, . _ ~ - /",
)

/** A path from the root of a repository; `*` is any text within a name, a segment `**` any number of folders. Comparing many `*` takes long. */
export const claimPath = matching(
  /^(?=.{1,256}$)(?!(?:[^*]*\*){9})(?:(?!\.{1,2}(?:\/|$))[^/\\\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+(?:\/(?!$)|$))+$/u,
  "must be a path from the root of the repository, such as src/a.ts, or a glob such as src/**/*.ts; 1-256 characters, at most 8 *, / between folders, no . or ..",
)

/** The statement of an owner, signed; `sig` is a detached JWS over these and the relay's `server_id`. */
export const claimFields = {
  repo: repositoryName,
  paths: list(claimPath, maxPaths),
  note: optional(text(maxNote, 1)),
  /** Seconds from `ts` that the claim lasts. */
  seconds: optional(whole(1, maxClaimSeconds)),
  /** When it was signed, milliseconds since the Unix epoch. */
  ts: optional(count),
  sig: optional(text(1_024)),
} as const

const entry = {
  repo: string,
  paths: list(string),
  /** Paths of these that the owner has released since. */
  released: optional(list(string)),
  owner: agentRef,
  name: string,
  note: optional(string),
  seconds: count,
  ts: count,
  expires_ts: count,
  sig: string,
} as const

/** A claim as CLAIMS lists it. */
export const claimEntry = openObject(entry)
/** See {@link claimEntry}. */
export type ClaimEntry = InputOf<typeof entry>

/** Returns the paths of a claim that its owner has not released. */
export function claimedPaths({ paths, released = [] }: Pick<ClaimEntry, "paths" | "released">): string[] {
  return paths.filter((path) => !released.includes(path))
}

/**
 * Returns the first claim of another agent that a path or glob meets.
 * @param self - id of the own agent
 */
export function findConflict<C extends Pick<ClaimEntry, "paths" | "released" | "owner" | "expires_ts">>(
  claims: Iterable<C>,
  path: string,
  self: string | undefined,
  nowMs: number,
): C | undefined {
  for (const claim of claims) {
    if (claim.owner === self || claim.expires_ts <= nowMs) continue
    if (claimedPaths(claim).some((claimed) => overlap(claimed, path))) return claim
  }
  return undefined
}

/**
 * Reports whether a file can exist that both paths or globs mean. A path without `*` means also what is below it, if the
 * other one shows that it is a folder. Takes time in proportion to the product of the lengths at most.
 */
export function overlap(a: string, b: string): boolean {
  const [one, other] = [a.split("/"), b.split("/")]
  return meet(one, other, isAnyFolders, segmentsMeet) || isFolderOf(one, other) || isFolderOf(other, one)
}

function isAnyFolders(segment: string): boolean {
  return segment === "**"
}

function segmentsMeet(a: string, b: string): boolean {
  if (a === b) return true
  return (a.includes("*") || b.includes("*")) && meet(a, b, isStar, isSame)
}

function isStar(char: string): boolean {
  return char === "*"
}

function isSame(a: string, b: string): boolean {
  return a === b
}

/** Reports whether a path without `*` is a folder in which everything of the other one is. */
function isFolderOf(path: readonly string[], other: readonly string[]): boolean {
  return (
    path.length < other.length && path.every((segment, i) => !segment.includes("*") && segment === other[i])
  )
}

type Test = (part: string) => boolean
type Meets = (one: string, other: string) => boolean

/**
 * Reports whether two patterns of parts have a common match. A wild part matches any number of parts.
 * @param meets - whether two other parts have a common match
 */
function meet(a: ArrayLike<string>, b: ArrayLike<string>, isWild: Test, meets: Meets): boolean {
  const [wildA, wildB] = [wildsOf(a, isWild), wildsOf(b, isWild)]
  if (wildA === undefined) return matches(a, b, isWild, meets)
  if (wildB === undefined) return matches(b, a, isWild, meets)
  // Everything between the first and the last wild part of one fits into a wild part of the other.
  const before = Math.min(wildA.first, wildB.first)
  for (let i = 0; i < before; i++) if (!meets(a[i] ?? "", b[i] ?? "")) return false
  const after = Math.min(a.length - wildA.last, b.length - wildB.last)
  for (let i = 1; i < after; i++) if (!meets(a[a.length - i] ?? "", b[b.length - i] ?? "")) return false
  return true
}

/** Returns where the first and the last wild part are. */
function wildsOf(parts: ArrayLike<string>, isWild: Test): { first: number; last: number } | undefined {
  let first = -1
  let last = -1
  for (let i = 0; i < parts.length; i++) {
    if (!isWild(parts[i] ?? "")) continue
    if (first < 0) first = i
    last = i
  }
  return first < 0 ? undefined : { first, last }
}

/** Matches parts without a wild one against a pattern: after each wild part, the earliest match is the best. */
function matches(parts: ArrayLike<string>, pattern: ArrayLike<string>, isWild: Test, meets: Meets): boolean {
  let [at, next] = [0, 0]
  let retryAt = -1
  let retryNext = -1
  while (at < parts.length) {
    const part = pattern[next]
    if (part !== undefined && isWild(part)) {
      retryNext = ++next
      retryAt = at
    } else if (part !== undefined && meets(parts[at] ?? "", part)) {
      at++
      next++
    } else if (retryNext >= 0) {
      at = ++retryAt
      next = retryNext
    } else return false
  }
  while (next < pattern.length && isWild(pattern[next] ?? "")) next++
  return next === pattern.length
}
