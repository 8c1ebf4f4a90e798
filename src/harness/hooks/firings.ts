/** Recognizes the second firing of an event: two configurations, or two harnesses, may run the same hook for it. */
import { closeSync, constants, openSync, rmSync } from "node:fs"
import { join } from "node:path"
import { listIfExists, readIfExists, writeAll } from "../../base/files.js"
import { ensureDirectory } from "../../daemon/files/home.js"
import type { RootPaths } from "../../daemon/files/paths.js"
import { hashOf } from "../sessions.js"

/** Milliseconds within which two firings are of one event. */
const momentMs = 5_000
const suffix = ".fired"

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants

/**
 * Records that an event is handled, for a few seconds. Of two processes that do so at once one succeeds.
 * @param firing - the same for all firings of an event
 * @param nowMs - milliseconds since the Unix epoch
 * @returns false if it was recorded before
 * @throws the system error
 */
export function claimFiring(
  root: Pick<RootPaths, "sessions">,
  session: string,
  firing: string,
  nowMs: number,
): boolean {
  ensureDirectory(root.sessions)
  for (const name of listIfExists(root.sessions)) {
    if (name.endsWith(suffix)) removeIfOld(join(root.sessions, name), nowMs)
  }
  const path = join(root.sessions, `${hashOf(session)}.${firing}${suffix}`)
  let fd: number
  try {
    fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
    throw error
  }
  try {
    writeAll(fd, Buffer.from(String(nowMs)))
  } finally {
    closeSync(fd)
  }
  return true
}

/** A file without a time is being written at this moment. */
function removeIfOld(path: string, nowMs: number): void {
  const text = readIfExists(path)
  const ageMs = nowMs - Number(text)
  if (text !== "" && text !== undefined && !(ageMs >= 0 && ageMs < momentMs)) rmSync(path, { force: true })
}
