/** Chooses the daemon that a command is about. */
import { existsSync } from "node:fs"
import { basename, dirname } from "node:path"
import { openHome } from "../../daemon/files/home.js"
import { type DaemonPaths, instanceNames } from "../../daemon/files/paths.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { ChatError } from "../../protocol/errors.js"
import { type InstanceName, type Nick, nickPattern } from "../../protocol/names.js"
import { value } from "../command.js"
import type { Config } from "../config.js"
import type { Context } from "../context.js"
import { instanceName } from "../input/values.js"

/** Name of a daemon that is started without a name. */
export const defaultInstance = "default" as InstanceName

/** The option that chooses a daemon of this directory. */
export const daemonName = value(
  "NAME",
  "name of the daemon (default: the only one here)",
  instanceName,
  "daemon",
)

/** Part of the context on which the choice of a daemon depends. */
export type Place = Pick<Context, "config" | "clock">

/**
 * Returns the daemon that a command is about: that of `--name`, that of `AGENTCHAT_NAME`, that of the session of a coding
 * harness in which the command runs, or the only one of the directory. Where some run, those that do not run do not count. A directory without daemons has the one that
 * `agentchat daemon` would start.
 * @throws {ChatError} USAGE if there are several, listing them; NOT_FOUND if a named one was never started
 */
export function chooseInstance(place: Place, name: InstanceName | undefined): DaemonPaths {
  const { config } = place
  const named = name ?? config.name
  if (named !== undefined) {
    const paths = openHome(config.home, config.uid).instance(named)
    if (existsSync(paths.dir)) return paths
    const source = name === undefined ? "AGENTCHAT_NAME" : "--name"
    throw new ChatError("NOT_FOUND", `${source}: this directory has no daemon ${named}`, {
      hint: `start it: ${startCommand(paths)}; or see: agentchat daemon --list`,
    })
  }
  // A session speaks as nobody else, even if its own daemon does not run.
  if (config.sessionAgent !== undefined) {
    return openHome(config.home, config.uid).instance(config.sessionAgent)
  }
  const [only, ...others] = eligibleInstances(place)
  if (only === undefined) return openHome(config.home, config.uid).instance(defaultInstance)
  if (others.length === 0) return only
  const names = [only, ...others].map((paths) => paths.name)
  throw new ChatError("USAGE", `this directory has several daemons: ${names.join(", ")}`, {
    hint: `say which: --name ${only.name}, or export AGENTCHAT_NAME=${only.name}`,
  })
}

/** Returns the daemon that {@link chooseInstance} returns. @throws {ChatError} NOT_FOUND if it was never started here */
export function startedInstance(place: Place, name: InstanceName | undefined): DaemonPaths {
  const paths = chooseInstance(place, name)
  if (existsSync(paths.dir)) return paths
  throw new ChatError("NOT_FOUND", `daemon ${paths.name} was never started here`, {
    hint: `start it: ${startCommand(paths)}, or with a relay of its own: agentchat up`,
  })
}

/** Returns the daemons that count where none is named: those that run, else all that ever ran here. */
export function eligibleInstances({ config, clock }: Place): DaemonPaths[] {
  const root = openHome(config.home, config.uid)
  const all = instanceNames(root).map((name) => root.instance(name))
  const running = all.filter(({ record }) => readHolder(record, clock.now()) !== undefined)
  return running.length > 0 ? running : all.filter(({ status }) => existsSync(status))
}

/** Returns the name an agent gets without `--nick`: that of the working directory if it is a valid name. */
export function defaultNick(config: Config): Nick {
  const folder = basename(dirname(config.home))
  return (nickPattern.test(folder) ? folder : "agent") as Nick
}

/** Returns the command that starts a daemon. */
export function startCommand({ name }: Pick<DaemonPaths, "name">): string {
  const option = name === defaultInstance ? "" : ` --name ${name}`
  return `agentchat daemon --background${option}`
}
