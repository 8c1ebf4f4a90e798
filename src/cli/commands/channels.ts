import { formatForTerminal } from "../../base/visible-text.js"
import type { ChannelEntry } from "../../protocol/server-messages.js"
import { defineCommand } from "../command.js"
import { speak, speakOptions } from "../speak.js"
import { formatTable } from "../table.js"

export const channels = defineCommand({
  args: {},
  options: speakOptions,
  takesUrl: true,
  examples: ["agentchat channels", "agentchat channels ws://127.0.0.1:6667 --json"],
  notes: ["Lists what you may see: invite-only channels only to those invited."],
  async run(context, input) {
    const { io, config } = context
    const { answer } = await speak(context, input, { type: "LIST_CHANNELS" })
    const entries = answer["list"] as readonly ChannelEntry[]
    if (config.json) io.json({ ok: true, list: entries })
    else {
      const rows = entries.map(({ name, agents, invite_only }) => [
        formatForTerminal(name),
        String(agents),
        invite_only ? "invite-only" : "",
      ])
      for (const line of formatTable(["CHANNEL", "AGENTS", ""], rows)) io.out(line)
    }
    return 0
  },
})
