import { formatForTerminal } from "../../base/visible-text.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { defineCommand, optional } from "../command.js"
import { worker } from "../input/values.js"
import { formatAge } from "../output/age.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { relayRequest, requestOptions } from "../relay/relay-request.js"

export const pending = defineCommand({
  args: { target: optional("@agent or +role; without it, yourself", worker) },
  options: requestOptions,
  takesUrl: true,
  examples: ["agentchat pending", "agentchat pending @bob", "agentchat pending +reviewer --json"],
  notes: [
    "What the relay keeps for somebody who has not taken it yet. Of another agent only your own messages",
    "are named. An unknown name is an error (exit 3), not 0.",
  ],
  async run(context, input) {
    const { io, config, clock } = context
    const { answer } = await relayRequest(context, input, { type: "PENDING", ...omitUndefined(input.args) })
    const { target, count, ids, oldest_ts, claimed } = answer as unknown as ServerMessage<"PENDING">
    if (config.json) {
      io.json({ ok: true, target, count, ids, oldest_ts, claimed })
      return 0
    }
    const oldest = oldest_ts === undefined ? "" : `, the oldest from ${formatAge(oldest_ts, clock.now())}`
    const taken = claimed === undefined ? "" : `; ${claimed} being worked on`
    io.out(formatForTerminal(`${count} wait${count === 1 ? "s" : ""} for ${target}${oldest}${taken}`))
    for (const id of ids) io.out(formatForTerminal(id))
    return 0
  },
})
