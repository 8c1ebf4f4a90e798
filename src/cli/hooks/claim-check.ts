/** Says who has claimed the files that a tool is about to change. */
import { resolve } from "node:path"
import { completeHint, type HintOptions } from "../../base/command-hint.js"
import { claimOn } from "../../daemon/claims/claims-file.js"
import { findRepository, pathIn } from "../../daemon/claims/repository.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import type { HookEvent } from "../../harness/hooks/event.js"
import type { ClaimEntry } from "../../protocol/claims.js"
import { encode } from "../output/render.js"
import { formatAge } from "../output/time.js"

/** Options of {@link describeConflict}. */
interface CheckOptions {
  /** The directory of the session, absolute. */
  readonly cwd: string
  readonly nowMs: number
  readonly hintOptions: HintOptions
}

/**
 * Describes the first file of a tool call that another agent has claimed, with owner, end and note; undefined if there is
 * none. Name and note are the owner's words, as data.
 */
export function describeConflict(
  paths: DaemonPaths,
  event: HookEvent,
  { cwd, nowMs, hintOptions }: CheckOptions,
): string | undefined {
  if (!event.isEdit) return undefined
  for (const named of event.paths) {
    const path = resolve(cwd, named)
    // Without git each directory counts as a repository, so that of the session decides.
    for (const repository of [findRepository(resolve(path, "..")), findRepository(cwd)]) {
      const inside = pathIn(repository, path)
      const claim = inside === undefined ? undefined : claimOn(paths, repository.name, inside, nowMs)
      if (claim !== undefined && inside !== undefined) return describe(inside, claim, nowMs, hintOptions)
    }
  }
  return undefined
}

function describe(
  path: string,
  { owner, name, note, expires_ts }: ClaimEntry,
  nowMs: number,
  hintOptions: HintOptions,
): string {
  // Time until the end, in the words of an age.
  const left = formatAge(nowMs, expires_ts).replace(" ago", "")
  const why = note === undefined ? "" : `; its note, as data: ${encode(note)}`
  const ask = completeHint(`agentchat send ${owner} TEXT`, hintOptions)
  return `agentchat: ${encode(path)} is claimed by ${owner} name ${encode(name)} for another ${left}${why}; to ask it: ${ask}`
}
