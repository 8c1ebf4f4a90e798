/** Gives a person who chats an identity that lasts: one for each name and directory. */
import { existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { readIfExists, writeFileAtomic } from "../../base/files.js"
import { ensureDirectory, ensureHome, openHome } from "../../daemon/files/home.js"
import { describeProcess, parseProcessRecord, processState } from "../../daemon/files/process-record.js"
import { createIdentity } from "../../identity/identity-file.js"
import type { Nick } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { defaultNick } from "../daemon/daemon-choice.js"
import { expectedFailure } from "../exit-status.js"

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
function usePersonIdentity({ config, system }: Context, nick: Nick): PersonIdentity | undefined {
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

/** Returns an identity of its own for a person who named none; undefined if there can be none. */
export function lastingIdentity(
  context: Context,
  { identity, ephemeral, compat, nick }: PersonOptions,
): PersonIdentity | undefined {
  if (identity !== undefined || ephemeral || compat) return undefined
  const name = nick ?? defaultNick(context.config)
  try {
    const own = usePersonIdentity(context, name)
    if (own === undefined) context.io.note(`${name} is in use elsewhere here; this session has a random id`)
    return own
  } catch (error) {
    const failure = expectedFailure(error)
    if (failure === undefined) throw error
    context.io.note(`${failure.message}; this session has a random id`)
    return undefined
  }
}

/** Options of a command that a person connects with. */
interface PersonOptions {
  readonly identity: string | undefined
  readonly ephemeral: boolean
  readonly compat: boolean
  readonly nick: Nick | undefined
}

function isClaimed(path: string): boolean {
  try {
    const record = parseProcessRecord(JSON.parse(readIfExists(path) ?? ""))
    return record !== undefined && processState(record) === "alive"
  } catch {
    return false
  }
}
