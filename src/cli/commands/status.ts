import { defineCommand } from "../command.js"
import { daemonName } from "../daemon/daemon-choice.js"
import { reportStatus } from "../output/status-report.js"

export const status = defineCommand({
  args: {},
  options: { name: daemonName },
  takesUrl: false,
  examples: [
    "agentchat status",
    "agentchat status --name alice",
    "agentchat status --json",
    "agentchat status || agentchat up",
  ],
  notes: ["Exit 0 if the daemon is connected to its relay, 8 if it runs and is not, 3 if it does not run."],
  run: (context, { options }) => Promise.resolve(reportStatus(context, options.name)),
})
