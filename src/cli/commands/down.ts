import { delay } from "../../base/clock.js"
import { rootPaths } from "../../daemon/files/paths.js"
import { stopDaemon } from "../../daemon/process/control.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { type ProcessRecord, processState } from "../../daemon/process/process-record.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand } from "../command.js"
import type { Context } from "../context.js"
import { defaultInstance } from "../input/instance-choice.js"
import { isSameProcess, readLaunch, writeLaunch } from "../relay/launch-record.js"

/** Milliseconds a relay may take to say good-bye to its clients. */
const stopMs = 10_000

export const down = defineCommand({
  args: {},
  options: {},
  takesUrl: false,
  examples: ["agentchat down", "agentchat down --json"],
  notes: ["Ends the relay and the daemon that `agentchat up` started here, and nothing else."],
  async run(context) {
    const { io, config, clock } = context
    const root = rootPaths(config.home)
    const { relay, daemon } = readLaunch(root.relay)
    const stopped: string[] = []
    const holder = readHolder(root.instance(defaultInstance).pid, clock.now())
    if (isSameProcess(daemon, holder?.process)) {
      await stopDaemon(root, defaultInstance, clock)
      stopped.push(`daemon ${defaultInstance}`)
    }
    writeLaunch(root.relay, { relay, daemon: undefined })
    if (relay !== undefined) {
      await stopProcess(context, relay)
      stopped.push("relay")
    }
    writeLaunch(root.relay, { relay: undefined, daemon: undefined })
    if (config.json) io.json({ ok: true, stopped })
    else if (stopped.length === 0) io.talk("nothing that `agentchat up` started here is running")
    else io.out(`stopped ${stopped.join(" and ")}`)
    return 0
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
