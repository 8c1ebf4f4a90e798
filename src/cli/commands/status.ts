import { defineCommand, value } from "../command.js"
import { instanceName } from "../input/values.js"
import { reportStatus } from "../output/status-report.js"

export const status = defineCommand({
  args: {},
  options: { name: value("NAME", 'name of the daemon (default "default")', instanceName, "daemon") },
  takesUrl: false,
  examples: [
    "agentchat status",
    "agentchat status --name alice",
    "agentchat status --json",
    "agentchat status || agentchat up",
  ],
  notes: ["Exit 0 if the daemon runs, connected or not; 3 if it does not run."],
  run: (context, { options }) => reportStatus(context, options.name),
})
