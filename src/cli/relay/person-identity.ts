/** Gives a person who chats an identity that lasts: one for each name and directory. */
import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { writeFileAtomic } from "../../base/atomic-file.js"
import { ensureDirectory, ensureHome, rootPaths } from "../../daemon/files/paths.js"
import { describeProcess, parseProcessRecord, processState } from "../../daemon/files/process-record.js"
import { createIdentity } from "../../identity/identity-file.js"
import type { Nick } from "../../protocol/names.js"
import type { Context } from "../context.js"

/** An identity file that this process uses alone. */
export interface PersonIdentity {
  readonly path: string
  /** Lets other processes use it. */
  release(): void
}

/**
 * Returns the identity of a name, creating it if necessary.
 * @returns undefined if another process chats with it, because an identity has only one session
 * @throws {ChatError} FILE_FAILED; throws the system's errors
 */
export function usePersonIdentity({ config, system }: Context, nick: Nick): PersonIdentity | undefined {
  const root = rootPaths(config.home)
  ensureHome(root)
  ensureDirectory(join(root.root, "people"))
  const path = join(root.root, "people", `${nick}.json`)
  const claim = join(root.root, "people", `${nick}.pid`)
  if (isClaimed(claim)) return undefined
  writeFileAtomic(claim, `${JSON.stringify(describeProcess(system.pid))}\n`)
  if (!existsSync(path)) createIdentity(path, { nick })
  return { path, release: () => rmSync(claim, { force: true }) }
}

function isClaimed(path: string): boolean {
  try {
    const record = parseProcessRecord(JSON.parse(readFileSync(path, "utf8")))
    return record !== undefined && processState(record) === "alive"
  } catch {
    return false
  }
}
