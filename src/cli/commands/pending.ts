import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { defineCommand, optional } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { worker } from "../input/values.js"
import { formatAge } from "../output/time.js"
import { relayRequest, requestOptions } from "../relay/relay-request.js"

export const pending = defineCommand({
  args: { target: optional("@agent or +role (default: yourself)", worker) },
  options: requestOptions,
  takesUrl: true,
  examples: ["agentchat pending", "agentchat pending @bob", "agentchat pending +reviewer --json"],
  notes: [
    "Counts what the relay keeps until the target fetches it. For another agent, lists the ids of your",
    "own messages only. An unknown name is an error (exit 3).",
  ],
  async run(context, input) {
    const { answer } = await relayRequest(context, input, { type: "PENDING", ...omitUndefined(input.args) })
    const { target, count, ids, oldest_ts, claimed } = answer as unknown as ServerMessage<"PENDING">
    const oldest =
      oldest_ts === undefined ? "" : `, the oldest from ${formatAge(oldest_ts, context.clock.now())}`
    const inWork = claimed === undefined ? "" : `; ${claimed} in progress`
    const summary = `${count} wait${count === 1 ? "s" : ""} for ${target}${oldest}${inWork}`
    const document = { target, count, ids, oldest_ts, claimed }
    return reportSuccess(context, document, [summary, ...ids].map(formatForTerminal))
  },
})
