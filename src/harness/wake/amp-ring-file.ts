import { existsSync, rmSync } from "node:fs"
import { type Clock, delay } from "../../base/clock.js"
import { writeFileAtomic } from "../../base/files.js"
import type { RootPaths } from "../../daemon/files/paths.js"
import type { WakeDoor } from "../../daemon/wake/session-doors.js"
import { ChatError } from "../../protocol/errors.js"
import { sessionFile } from "../sessions.js"

/** Milliseconds in which the plugin has to take the file: it looks once a second. */
const takenMs = 4_000
const lookMs = 100

/**
 * Returns the file by which the daemon rings a session whose plugin looks for it: it has the text to append to the thread,
 * and the plugin deletes it before it does.
 */
export function ringFile(root: Pick<RootPaths, "sessions">, session: string): string {
  return sessionFile(root, session).replace(/\.json$/, ".ring")
}

/** `thread.append` of the Amp plugin. */
export function ampAppendDoor(root: Pick<RootPaths, "sessions">, session: string, clock: Clock): WakeDoor {
  const path = ringFile(root, session)
  return {
    method: "amp-append",
    queues: false,
    ring: async (text) => {
      try {
        writeFileAtomic(path, text)
      } catch (error) {
        throw new ChatError("FILE_FAILED", `amp: ${String((error as NodeJS.ErrnoException).code)}`)
      }
      const deadline = clock.monotonic() + takenMs
      while (existsSync(path)) {
        if (clock.monotonic() >= deadline) {
          rmSync(path, { force: true })
          throw new ChatError("UNREACHABLE", "amp: the plugin does not take the ring")
        }
        await delay(clock, lookMs)
      }
    },
  }
}
