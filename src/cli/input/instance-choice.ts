import { basename, dirname } from "node:path"
import { type DaemonPaths, rootPaths } from "../../daemon/files/paths.js"
import { type InstanceName, type Nick, nickPattern } from "../../protocol/names.js"
import type { Config } from "../config.js"

/** The daemon that is meant when none is named. */
export const defaultInstance = "default" as InstanceName

/** Files of the daemon `name` in this directory. */
export function instancePathsOf(config: Config, name: InstanceName = defaultInstance): DaemonPaths {
  return rootPaths(config.home).instance(name)
}

/** What an agent of this directory calls itself unless told: the name of the directory, if that is a name. */
export function defaultNick(config: Config): Nick {
  const folder = basename(dirname(config.home))
  return (nickPattern.test(folder) ? folder : "agent") as Nick
}
