import { formatForTerminal } from "../../base/visible-text.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import { defineCommand, optional } from "../command.js"
import { present } from "../present.js"
import { speak, speakOptions } from "../speak.js"
import { formatTable } from "../table.js"
import { channel } from "../values.js"

export const agents = defineCommand({
  args: { channel: optional("who is in this channel; without it, who is on the relay", channel) },
  options: speakOptions,
  takesUrl: true,
  examples: [
    "agentchat agents",
    "agentchat agents '#general'",
    "agentchat agents ws://127.0.0.1:6667 '#general' --json",
  ],
  async run(context, input) {
    const { io, config } = context
    const { channel: room } = input.args
    const frame = { type: "LIST_AGENTS" as const, ...present({ channel: room }) }
    const { answer, self } = await speak(context, input, frame)
    const isOther = (id: string) => id !== self
    const roster = (answer["roster"] as readonly RosterEntry[]).filter(({ id }) => isOther(id))
    const ids = (answer["list"] as readonly string[]).filter(isOther)
    if (config.json) {
      io.json({ ok: true, channel: room, list: ids, roster })
      return 0
    }
    for (const line of formatTable(["AGENT", "NAME", "STATUS", "ROLE", "ACTIVITY"], roster.map(rowOf)))
      io.out(line)
    if (ids.length > roster.length) io.talk(`and ${ids.length - roster.length} more; --json lists their ids`)
    return 0
  },
})

function rowOf({ id, name, status, role, activity }: RosterEntry): string[] {
  return [id, name, status, role ?? "", activity ?? ""].map(formatForTerminal)
}
