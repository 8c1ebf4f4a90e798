/** Names the daemon that a command is about. */
import { basename, dirname } from "node:path"
import { type DaemonPaths, rootPaths } from "../../daemon/files/paths.js"
import { type InstanceName, type Nick, nickPattern } from "../../protocol/names.js"
import type { Config } from "../config.js"
import type { Context } from "../context.js"

/** Name of the daemon that `--name` defaults to. */
export const defaultInstance = "default" as InstanceName

/** Returns the paths of a daemon of this directory. */
export function instancePathsOf(config: Config, name: InstanceName = defaultInstance): DaemonPaths {
  return rootPaths(config.home).instance(name)
}

/** Returns the name an agent gets without `--nick`: that of the working directory if it is a valid name. */
export function defaultNick(config: Config): Nick {
  const folder = basename(dirname(config.home))
  return (nickPattern.test(folder) ? folder : "agent") as Nick
}

/**
 * Suggests `--name` for a user who left it out where no daemon is called default.
 * @param which - whether to name daemons that do not run
 * @returns a hint such as `say which daemon: --name alice`; undefined if there is no daemon to name
 */
export async function otherDaemonsHint(
  { config, clock }: Pick<Context, "config" | "clock">,
  which: "running" | "all",
): Promise<string | undefined> {
  // Loads sockets and child processes, which most commands do not need.
  const { listDaemons } = await import("../../daemon/process/control.js")
  const named = listDaemons(rootPaths(config.home), clock.now())
    .filter(({ name, running }) => name !== "default" && (which === "all" || running))
    .map(({ name }) => `--name ${name}`)
  if (named.length === 0) return undefined
  const more = named.length > 3 ? ", …" : ""
  return `say which daemon of this directory: ${named.slice(0, 3).join(", ")}${more}`
}
