import { delay } from "../../base/clock.js"
import { rootPaths } from "../../daemon/files/paths.js"
import { stopDaemon } from "../../daemon/process/control.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { type ProcessRecord, processState } from "../../daemon/process/process-record.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand } from "../command.js"
import type { Context } from "../context.js"
import { defaultInstance } from "../daemon/daemon-choice.js"
import { reportSuccess } from "../exit-status.js"
import { isSameProcess, readLaunch, writeLaunch } from "../relay/relay-launch.js"

/** Milliseconds a relay may take to stop. */
const stopMs = 10_000

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
    const holder = readHolder(root.instance(name).pid, clock.now())
    if (isSameProcess(daemon, holder?.process)) {
      await stopDaemon(root, name, clock)
      stopped.push(`daemon ${name}`)
    }
    writeLaunch(root.relay, { relay, daemon: undefined })
    if (relay !== undefined) {
      await stopProcess(context, relay)
      stopped.push("relay")
    }
    writeLaunch(root.relay, { relay: undefined, daemon: undefined })
    const isIdle = stopped.length === 0
    if (isIdle && !config.json) io.note("nothing that `agentchat up` started here is running")
    return reportSuccess(context, { stopped }, isIdle ? [] : `stopped ${stopped.join(" and ")}`)
  },
})

async function stopProcess({ system, clock }: Context, record: ProcessRecord): Promise<void> {
  system.kill(record.pid, "SIGTERM")
  const deadline = clock.monotonic() + stopMs
  while (processState(record) === "alive") {
    if (clock.monotonic() >= deadline) {
      throw new ChatError(
        "TIMEOUT",
        `the relay, process ${record.pid}, did not end within ${stopMs / 1000} s`,
      )
    }
    await delay(clock, 20)
  }
}
