/** Gives a person who chats an identity that lasts: one for each name and directory. */
import { existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { readIfExists, writeFileAtomic } from "../../base/files.js"
import { ensureDirectory, ensureHome, openHome } from "../../daemon/files/home.js"
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
  const root = openHome(config.home, config.uid)
  ensureHome(root)
  ensureDirectory(root.people)
  const path = join(root.people, `${nick}.json`)
  const claim = join(root.people, `${nick}.pid`)
  if (isClaimed(claim)) return undefined
  writeFileAtomic(claim, `${JSON.stringify(describeProcess(system.pid))}\n`)
  if (!existsSync(path)) createIdentity(path, { nick })
  return { path, release: () => rmSync(claim, { force: true }) }
}

function isClaimed(path: string): boolean {
  try {
    const record = parseProcessRecord(JSON.parse(readIfExists(path) ?? ""))
    return record !== undefined && processState(record) === "alive"
  } catch {
    return false
  }
}
