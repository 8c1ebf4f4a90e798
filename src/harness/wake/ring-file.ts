import { existsSync, rmSync } from "node:fs"
import { type Clock, delay } from "../../base/clock.js"
import { writeFileAtomic } from "../../base/files.js"
import type { RootPaths } from "../../daemon/files/paths.js"
import type { WakeDoor } from "../../daemon/wake/session-doors.js"
import { ChatError } from "../../protocol/errors.js"
import { sessionFile } from "../sessions.js"

/** Milliseconds in which the session has to take the file: a plugin looks once a second. */
const takenMs = 4_000
const lookMs = 100

/** Returns the file with the text of a ring, next to the record of its session. Deleting it takes the ring. */
export function ringFile(root: Pick<RootPaths, "sessions">, session: string): string {
  return sessionFile(root, session).replace(/\.json$/, ".ring")
}

/**
 * Rings a session through a file that a part of it takes: the plugin of Amp, or the background hook of Claude Code.
 * @param taker - in an error, after "does not take the ring"
 */
export function ringFileDoor(
  root: Pick<RootPaths, "sessions">,
  session: string,
  { clock, method, taker }: { readonly clock: Clock; readonly method: string; readonly taker: string },
): WakeDoor {
  const path = ringFile(root, session)
  return {
    method,
    queues: false,
    ring: async (text) => {
      try {
        writeFileAtomic(path, text)
      } catch (error) {
        throw new ChatError("FILE_FAILED", `${taker}: ${String((error as NodeJS.ErrnoException).code)}`)
      }
      const deadline = clock.monotonic() + takenMs
      while (existsSync(path)) {
        if (clock.monotonic() >= deadline) {
          rmSync(path, { force: true })
          throw new ChatError("UNREACHABLE", `${taker} does not take the ring`)
        }
        await delay(clock, lookMs)
      }
    },
  }
}
