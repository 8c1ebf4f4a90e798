import { join, relative, resolve } from "node:path"
import { ChatError } from "../protocol/errors.js"

export type Environment = Readonly<Record<string, string | undefined>>

/** Values of the options that every command takes. */
export interface GlobalFlags {
  readonly json: boolean
  readonly home: string | undefined
}

/** Settings merged from options, environment and defaults. */
export interface Config {
  /** The `.agentchat` directory, absolute. */
  readonly home: string
  /** The same directory as a user would type it in the working directory. */
  readonly shownHome: string
  /** `--home` as it was given; commands that hints suggest need it too. */
  readonly givenHome: string | undefined
  /** `AGENTCHAT_SERVER`. */
  readonly server: string | undefined
  /** True to print one JSON document instead of text. */
  readonly json: boolean
}

/** The directory for all files, in the working directory. */
export const defaultHome = ".agentchat"

/**
 * Merges the settings. Options win over the environment, the environment over the defaults; an empty variable counts
 * as absent.
 * @throws {ChatError} USAGE for an empty `--home`
 */
export function mergeConfig(flags: GlobalFlags, env: Environment, cwd: string): Config {
  if (flags.home === "") throw new ChatError("USAGE", "--home: must name a directory")
  const home = flags.home ?? nonEmpty(env["AGENTCHAT_HOME"]) ?? defaultHome
  return Object.freeze({
    home: resolve(cwd, home),
    shownHome: home,
    givenHome: flags.home,
    server: nonEmpty(env["AGENTCHAT_SERVER"]),
    json: flags.json,
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
