/** Reads the claims that a daemon mirrors: one small file, so that a hook need not ask the relay. */

import { readIfExists } from "../../base/files.js"
import { type ClaimEntry, claimEntry, findConflict } from "../../protocol/claims.js"
import { list, object, optional, parseAs, string } from "../../protocol/schema.js"
import type { DaemonPaths } from "../files/paths.js"

const file = object({ self: optional(string), list: list(claimEntry) })

/** Returns all claims that the daemon knows, and its agent's id; none if it has never been connected. */
export function readClaims({ claims }: Pick<DaemonPaths, "claims">): {
  readonly self?: string
  readonly list: readonly ClaimEntry[]
} {
  return parseAs(file, readIfExists(claims) ?? "") ?? { list: [] }
}

/**
 * Returns the claim of another agent on a path.
 * @param repository - as {@link findRepository} names it
 * @param path - from the root of the repository, `/` between folders
 * @param nowMs - milliseconds since the Unix epoch
 */
export function claimOn(
  paths: Pick<DaemonPaths, "claims">,
  repository: string,
  path: string,
  nowMs: number,
): ClaimEntry | undefined {
  const { self, list: claims } = readClaims(paths)
  const own = claims.filter(({ repo }) => repo === repository)
  return findConflict(own, path, self, nowMs)
}
