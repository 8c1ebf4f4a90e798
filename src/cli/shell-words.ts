import { accessSync, constants, realpathSync } from "node:fs"
import { delimiter, join, relative } from "node:path"
import type { InstanceName } from "../protocol/names.js"
import type { Config } from "./config.js"
import type { System } from "./context.js"

/** Quotes a text as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\w./@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/**
 * Returns a command that a hint or a note suggests, with the options that make it mean the same daemon: those of the
 * command line at hand.
 * @param command - the words after `agentchat`
 */
export function suggestedCommand(
  { givenHome }: Pick<Config, "givenHome">,
  command: string,
  {
    name,
    identity,
  }: { readonly name?: InstanceName | undefined; readonly identity?: string | undefined } = {},
): string {
  const options = Object.entries({ name, identity, home: givenHome })
  const words = options.flatMap(([option, text]) =>
    text === undefined ? [] : [`--${option}`, shellWord(text)],
  )
  return ["agentchat", command, ...words].join(" ")
}

/** Returns the shell command that calls this program from the working directory. */
export function ownInvocation({ searchPath, scriptPath, cwd }: System): string {
  const own = realPath(scriptPath)
  const found = searchPath
    .split(delimiter)
    .map((folder) => join(folder, "agentchat"))
    .find(isExecutable)
  if (found !== undefined && realPath(found) === own) return "agentchat"
  return `node ${shellWord(relative(cwd, scriptPath))}`
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
