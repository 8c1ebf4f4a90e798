import { defineCommand, value } from "../command.js"
import { instanceName } from "../input/values.js"
import { reportStatus } from "../output/status-report.js"

export const status = defineCommand({
  args: {},
  options: { name: value("NAME", "the daemon NAME instead of default", instanceName, "daemon") },
  takesUrl: false,
  examples: [
    "agentchat status",
    "agentchat status --name alice",
    "agentchat status --json",
    "agentchat status || agentchat up",
  ],
  notes: ["Exit 0 when the daemon runs, connected or not; 3 when it does not."],
  run: (context, { options }) => Promise.resolve(reportStatus(context, options.name)),
})
