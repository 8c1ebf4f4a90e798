import { protocolVersion } from "../../protocol/limits.js"
import { defineCommand } from "../command.js"
import { programVersion } from "../program-version.js"

export const version = defineCommand({
  args: {},
  options: {},
  takesUrl: false,
  examples: ["agentchat version", "agentchat version --json"],
  run({ io, config }) {
    const number = programVersion()
    if (config.json) io.json({ ok: true, version: number, protocol: protocolVersion })
    else io.out(number)
    return Promise.resolve(0)
  },
})
