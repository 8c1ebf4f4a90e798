import { protocolVersion } from "../../protocol/limits.js"
import { defineCommand } from "../command.js"
import { reportSuccess } from "../exit-status.js"

export const version = defineCommand({
  args: {},
  options: {},
  takesUrl: false,
  examples: ["agentchat version", "agentchat version --json"],
  run(context) {
    const { version: program } = context.system
    return Promise.resolve(reportSuccess(context, { version: program, protocol: protocolVersion }, program))
  },
})
