import { realpathSync, statSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import type { HintOptions } from "../base/command-hint.js"
import { ChatError } from "../protocol/errors.js"
import { type InstanceName, nickPattern } from "../protocol/names.js"

export type Environment = Readonly<Record<string, string | undefined>>

/** Values of the options that every command takes. */
export interface GlobalFlags {
  readonly json: boolean
  readonly quiet: boolean
  readonly home: string | undefined
}

/** Settings merged from options, environment and defaults. */
export interface Config {
  /** The `.agentchat` directory, absolute. */
  readonly home: string
  /** The user who runs the command. */
  readonly uid: number
  /** The same directory as a user would type it in the working directory. */
  readonly shownHome: string
  /** Options that commands suggested by hints need too. */
  readonly hintOptions: HintOptions
  /** `AGENTCHAT_SERVER`. */
  readonly server: string | undefined
  /** `AGENTCHAT_NAME`: the daemon to use if `--name` does not name one. */
  readonly name: InstanceName | undefined
  /** The daemon of the session of a coding harness in which the command runs, if the home has a record of it. */
  readonly sessionAgent?: InstanceName | undefined
  /** True to print one JSON document instead of text. */
  readonly json: boolean
  /** True to print no confirmations and no remarks. */
  readonly quiet: boolean
}

/** The directory for all files, in the working directory or one above it. */
export const defaultHome = ".agentchat"

/**
 * Merges the settings. Options win over the environment, the environment over the defaults; an empty variable counts
 * as absent.
 * @param uid - user that runs the command
 * @throws {ChatError} USAGE for an empty `--home`; INVALID_NAME for `AGENTCHAT_NAME`
 */
export function mergeConfig(
  flags: GlobalFlags,
  env: Environment,
  cwd: string,
  uid: number,
  own: HintOptions = {},
): Config {
  if (flags.home === "") throw new ChatError("USAGE", "--home: must name a directory")
  const named = flags.home ?? nonEmpty(env["AGENTCHAT_HOME"])
  const home = named ?? findHome(cwd, nonEmpty(env["HOME"]), uid)
  return Object.freeze({
    home: named === undefined ? resolve(cwd, home) : realPath(resolve(cwd, named)),
    uid,
    shownHome: home,
    hintOptions: { ...own, home: flags.home },
    server: nonEmpty(env["AGENTCHAT_SERVER"]),
    name: readName(nonEmpty(env["AGENTCHAT_NAME"])),
    json: flags.json,
    quiet: flags.quiet,
  })
}

/**
 * Finds `.agentchat` in the working directory or the nearest directory above it, as git finds its directory. The search
 * stays on one file system and below the parent of the user's home directory. A directory of another user does not
 * count, because its files decide who speaks.
 * @returns the path as a user would type it; in the working directory if there is none
 */
function findHome(cwd: string, userHome: string | undefined, uid: number): string {
  for (const dir of searchedDirectories(cwd, userHome)) {
    const path = join(dir, defaultHome)
    const home = statOf(path)
    if (home?.isDirectory() === true && (dir === cwd || home.uid === uid)) return relative(cwd, path)
  }
  return defaultHome
}

function* searchedDirectories(cwd: string, userHome: string | undefined): Generator<string> {
  const ceiling = userHome === undefined ? undefined : dirname(resolve(userHome))
  let dir = cwd
  yield dir
  while (dir !== ceiling) {
    const parent = dirname(dir)
    if (parent === dir || parent === ceiling || statOf(parent)?.dev !== statOf(dir)?.dev) return
    dir = parent
    yield dir
  }
}

/** Follows the symbolic links of a directory that the user named. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function statOf(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

function readName(text: string | undefined): InstanceName | undefined {
  if (text === undefined || nickPattern.test(text)) return text as InstanceName | undefined
  throw new ChatError("INVALID_NAME", "AGENTCHAT_NAME: is not the name of a daemon", {
    hint: "1-64 letters, digits, . _ or -, the first a letter or digit, not 16 hex digits",
  })
}

/**
 * Decides whether to color text for a terminal.
 * @see https://no-color.org and https://force-color.org
 */
export function wantsColor(env: Environment, isTerminal: boolean): boolean {
  const force = nonEmpty(env["FORCE_COLOR"])
  if (force !== undefined) return force !== "0" && force !== "false"
  if (nonEmpty(env["NO_COLOR"]) !== undefined) return false
  return isTerminal && env["TERM"] !== "dumb"
}

/** Returns a path in the home directory as a user would type it in the working directory. */
export function shownPath(config: Config, path: string): string {
  return join(config.shownHome, relative(config.home, path))
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === "" ? undefined : value
}
