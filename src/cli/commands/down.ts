import { openHome } from "../../daemon/files/home.js"
import type { RootPaths } from "../../daemon/files/paths.js"
import { isSameProcess } from "../../daemon/files/process-record.js"
import { endProcess, listDaemons, stopDaemon } from "../../daemon/process/control.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { readStatus } from "../../daemon/status.js"
import type { InstanceName } from "../../protocol/names.js"
import { defineCommand, flag } from "../command.js"
import type { Context } from "../context.js"
import { defaultInstance } from "../daemon/daemon-choice.js"
import { reportSuccess } from "../exit-status.js"
import { requireConfirmation } from "../input/confirmation.js"
import { askHealth, localUrl, readLaunch, writeLaunch } from "../relay/relay-launch.js"
import { isSameServer } from "../relay/session.js"

export const down = defineCommand({
  args: {},
  options: { yes: flag("do not ask, even if other agents use the relay") },
  takesUrl: false,
  examples: ["agentchat down", "agentchat down --yes", "agentchat down --json"],
  notes: [
    "Stops the relay and the daemon that `agentchat up` started here, and no others. Asks first if other agents",
    "are connected to the relay.",
  ],
  async run(context, { options }) {
    const { io, config, clock } = context
    const root = openHome(config.home, config.uid)
    const { relay, port, daemon, name = defaultInstance } = readLaunch(root.relay)
    const stopped: string[] = []
    const holder = readHolder(root.instance(name).record, clock.now())
    const isOwn = daemon !== undefined && holder !== undefined && isSameProcess(daemon, holder.process)
    if (relay !== undefined && !options.yes) {
      await confirmForOthers(context, root, port, isOwn ? name : undefined)
    }
    if (isOwn) {
      await stopDaemon(root, name, context)
      stopped.push(`daemon ${name}`)
    }
    writeLaunch(root.relay, { relay, port, daemon: undefined })
    if (relay !== undefined) {
      await endProcess(relay, context)
      stopped.push("relay")
    }
    writeLaunch(root.relay, { relay: undefined, daemon: undefined })
    const isIdle = stopped.length === 0
    if (isIdle && !config.json) io.note("nothing that `agentchat up` started here is running")
    return reportSuccess(context, { stopped }, isIdle ? [] : `stopped ${stopped.join(" and ")}`)
  },
})

/**
 * Asks before the relay is taken from agents that `up` did not start.
 * @param port - undefined if an earlier version started the relay, which did not record it
 * @param ownName - the daemon that is stopped with the relay
 * @throws {ChatError} USAGE if nobody can be asked; CANCELLED if the answer is not yes
 */
async function confirmForOthers(
  context: Context,
  root: RootPaths,
  port: number | undefined,
  ownName: InstanceName | undefined,
): Promise<void> {
  if (port === undefined) return
  const isConnected = (name: string) => {
    const { connected = false, server } = readStatus(root.instance(name as InstanceName).status) ?? {}
    return connected && server !== undefined && isSameServer(server, localUrl(port))
  }
  const agents = (await askHealth(port))?.agents ?? 0
  const others = agents - (ownName !== undefined && isConnected(ownName) ? 1 : 0)
  if (others <= 0) return
  const here = listDaemons(root, context.clock.now())
    .filter(({ name, running }) => running && name !== ownName && isConnected(name))
    .map(({ name }) => name)
  const names = here.length === 0 ? "" : ` (here: ${here.join(", ")})`
  const loss = `disconnects ${others} other ${others === 1 ? "agent" : "agents"}${names}`
  const gentler =
    ownName === undefined
      ? "see who: agentchat agents"
      : `stop the daemon only: agentchat daemon --stop --name ${ownName}`
  await requireConfirmation(context, false, {
    asker: "down",
    loss,
    question: `stop the relay on ${localUrl(port)}? It ${loss}.`,
    hint: `${gentler}; stop the relay too: agentchat down --yes`,
  })
}
