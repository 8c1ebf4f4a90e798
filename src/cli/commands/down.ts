import { rootPaths } from "../../daemon/files/paths.js"
import { isSameProcess } from "../../daemon/files/process-record.js"
import { endProcess, stopDaemon } from "../../daemon/process/control.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { defineCommand } from "../command.js"
import { defaultInstance } from "../daemon/daemon-choice.js"
import { reportSuccess } from "../exit-status.js"
import { readLaunch, writeLaunch } from "../relay/relay-launch.js"

export const down = defineCommand({
  args: {},
  options: {},
  takesUrl: false,
  examples: ["agentchat down", "agentchat down --json"],
  notes: ["Stops the relay and the daemon that `agentchat up` started here, and no others."],
  async run(context) {
    const { io, config, clock } = context
    const root = rootPaths(config.home)
    const { relay, daemon, name = defaultInstance } = readLaunch(root.relay)
    const stopped: string[] = []
    const holder = readHolder(root.instance(name).record, clock.now())
    if (daemon !== undefined && holder !== undefined && isSameProcess(daemon, holder.process)) {
      await stopDaemon(root, name, context)
      stopped.push(`daemon ${name}`)
    }
    writeLaunch(root.relay, { relay, daemon: undefined })
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
