/** `daemon --list`, `--stop` and `--stop-all`. */
import { formatForTerminal } from "../../base/visible-text.js"
import { rootPaths } from "../../daemon/files/paths.js"
import { listDaemons, stopAllDaemons, stopDaemon } from "../../daemon/process/control.js"
import type { InstanceName } from "../../protocol/names.js"
import type { Context } from "../context.js"
import { defaultInstance } from "../input/instance-choice.js"
import { formatTable } from "../output/table.js"

/** Prints every daemon of the directory, running or not. */
export function listAll({ io, config, clock }: Context): number {
  const entries = listDaemons(rootPaths(config.home), clock.now())
  if (config.json) io.json(entries)
  else if (entries.length === 0)
    io.talk("no daemon was ever started here; start one: agentchat daemon --background")
  else {
    const rows = entries.map(({ name, running, pid, agent_id, server }) =>
      [name, running ? "runs" : "stopped", String(pid ?? ""), agent_id ?? "", server ?? ""].map(
        formatForTerminal,
      ),
    )
    for (const line of formatTable(["NAME", "STATE", "PID", "AGENT", "RELAY"], rows, io.columns)) io.out(line)
  }
  return 0
}

/** Stops one daemon. @throws {ChatError} NOT_FOUND when it does not run */
export async function stopOne(
  { io, config, clock }: Context,
  name: InstanceName = defaultInstance,
): Promise<number> {
  await stopDaemon(rootPaths(config.home), name, clock)
  if (config.json) io.json({ ok: true, stopped: [name] })
  else io.out(`stopped ${name}`)
  return 0
}

/** Stops all of them; none is no failure. */
export async function stopAll({ io, config, clock }: Context): Promise<number> {
  const stopped = await stopAllDaemons(rootPaths(config.home), clock)
  if (config.json) io.json({ ok: true, stopped })
  else if (stopped.length === 0) io.talk("no daemon runs here")
  else io.out(`stopped ${stopped.join(" ")}`)
  return 0
}
