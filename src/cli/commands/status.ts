import { defineCommand } from "../command.js"
import { reportStatus } from "../output/status-report.js"
import { daemonName } from "../relay/relay-request.js"

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
  notes: ["Exit 0 if the daemon runs, connected or not; 3 if it does not run."],
  run: (context, { options }) => Promise.resolve(reportStatus(context, options.name)),
})
