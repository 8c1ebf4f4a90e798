import { resolve } from "node:path"
import { ChatError } from "../protocol/errors.js"

/** Environment variables, as the process has them. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Flags every command takes. */
export interface GlobalFlags {
  readonly json: boolean
  readonly home: string | undefined
}

/** What flags, environment and defaults come to; merged once. */
export interface Config {
  /** The `.agentchat` directory, absolute. */
  readonly home: string
  /** As the user would write it from the working directory. */
  readonly shownHome: string
  /** `AGENTCHAT_SERVER`. */
  readonly server: string | undefined
  /** One JSON document instead of text. */
  readonly json: boolean
}

/** The directory for all files, below the working directory. */
export const defaultHome = ".agentchat"

/**
 * Flags win over the environment, the environment over the defaults. An empty variable counts as absent.
 * @throws {ChatError} USAGE for an empty `--home`
 */
export function mergeConfig(flags: GlobalFlags, env: Environment, cwd: string): Config {
  if (flags.home === "") throw new ChatError("USAGE", "--home: must name a directory")
  const home = flags.home ?? present(env["AGENTCHAT_HOME"]) ?? defaultHome
  return Object.freeze({
    home: resolve(cwd, home),
    shownHome: home,
    server: present(env["AGENTCHAT_SERVER"]),
    json: flags.json,
  })
}

/**
 * Whether text for a terminal is coloured.
 * @see https://no-color.org and https://force-color.org
 */
export function wantsColor(env: Environment, isTerminal: boolean): boolean {
  const force = present(env["FORCE_COLOR"])
  if (force !== undefined) return force !== "0" && force !== "false"
  if (present(env["NO_COLOR"]) !== undefined) return false
  return isTerminal && env["TERM"] !== "dumb"
}

function present(value: string | undefined): string | undefined {
  return value === "" ? undefined : value
}
