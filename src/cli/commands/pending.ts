import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { defineCommand, optional } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { worker } from "../input/values.js"
import { formatAge } from "../output/time.js"
import { chooseDaemon, type RequestOptions, relayRequest, requestOptions } from "../relay/relay-request.js"
import type { SentMessage } from "../relay/sent-stages.js"

export const pending = defineCommand({
  args: { target: optional("@agent or +role (default: yourself)", worker) },
  options: requestOptions,
  takesUrl: true,
  examples: ["agentchat pending", "agentchat pending @bob", "agentchat pending +reviewer --json"],
  notes: [
    "Counts what the relay keeps until the target fetches it. For another agent, lists the ids of your",
    "own messages only, and of the newest that have arrived how far they came: rung, in_context. An unknown name is an",
    "error (exit 3).",
  ],
  async run(context, input) {
    const { answer } = await relayRequest(context, input, { type: "PENDING", ...omitUndefined(input.args) })
    const { target, count, ids, oldest_ts, claimed } = answer as unknown as ServerMessage<"PENDING">
    const oldest =
      oldest_ts === undefined ? "" : `, the oldest from ${formatAge(oldest_ts, context.clock.now())}`
    const inWork = claimed === undefined ? "" : `; ${claimed} in progress`
    const summary = `${count} wait${count === 1 ? "s" : ""} for ${target}${oldest}${inWork}`
    const arrived = input.args.target?.startsWith("@") === true ? await arrivedAt(context, input, target) : []
    const document = { target, count, ids, oldest_ts, claimed, ...(arrived.length > 0 && { arrived }) }
    const lines = arrived.map((message) => describeArrived(message, context.clock.now()))
    return reportSuccess(context, document, [summary, ...ids, ...lines].map(formatForTerminal))
  },
})

/** Returns the messages of the daemon that an agent has, as the daemon's files report them. */
async function arrivedAt(context: Context, input: RequestOptions, target: string): Promise<SentMessage[]> {
  const paths = chooseDaemon(context, input)
  if (paths === undefined) return []
  const { messagesAt } = await import("../relay/sent-stages.js")
  return messagesAt(paths, target)
}

/** Names the last stage, and how the session was rung before. */
function describeArrived({ msg_id, stages }: SentMessage, nowMs: number): string {
  const last = stages.at(-1)
  const shown = stages.filter((stage) => stage === last || stage.state === "rung").toReversed()
  const texts = shown.map(({ state, method, ts }) => {
    return `${state}${method === undefined ? "" : ` by ${method}`} ${formatAge(ts, nowMs)}`
  })
  return `${msg_id} ${texts.join(", ")}`
}
