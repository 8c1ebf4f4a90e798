import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { roleRefPattern } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { defineCommand, optional, required } from "../command.js"
import type { Context } from "../context.js"
import { anyText, closeChoice, someText } from "../input/values.js"
import { formatAge } from "../output/age.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { type RequestOptions, relayRequest, requestOptions } from "../relay/relay-request.js"

const verbs = ["list", "claim", "done", "fail", "extend"] as const

export const task = defineCommand({
  args: {
    verb: required(verbs.join(", "), closeChoice(verbs), verbs),
    task: required("the task's id; for list: the +role", someText),
    text: optional("done: the answer, - reads it from standard input; fail: the reason", anyText),
  },
  options: requestOptions,
  takesUrl: true,
  examples: [
    "agentchat task list +reviewer",
    "agentchat task done TASK_ID 'looks good'",
    "git diff | agentchat task done TASK_ID -",
    "agentchat task fail TASK_ID 'no such file here'",
    "agentchat task claim TASK_ID",
  ],
  notes: [
    "A task comes into your inbox as a TASK line while you are idle and have its role. It is yours until",
    "its lease ends; the daemon renews that while you are `working`. Then say done, or fail to give it back.",
  ],
  async run(context, input) {
    const { verb, task: id, text } = input.args
    if (text !== undefined && verb !== "done" && verb !== "fail") {
      throw new ChatError("USAGE", `TEXT: ${verb} takes none`)
    }
    switch (verb) {
      case "list":
        return list(context, input, id)
      case "claim":
        return claim(context, input, id)
      case "done": {
        const content =
          text === "-" ? await (await import("../input/input-text.js")).readText(context.io.input) : text
        return end(context, input, { type: "DONE", task: id, ...omitUndefined({ content }) })
      }
      case "fail":
        return end(context, input, { type: "FAIL", task: id, ...omitUndefined({ reason: text }) })
      case "extend":
        return end(context, input, { type: "EXTEND", task: id })
    }
  },
})

async function list(context: Context, choice: RequestOptions, role: string): Promise<number> {
  const { io, config, clock } = context
  if (!roleRefPattern.test(role)) {
    throw new ChatError("USAGE", "TASK: list wants a +role", {
      hint: "such as: agentchat task list +reviewer",
    })
  }
  const { answer } = await relayRequest(context, choice, { type: "PENDING", target: role })
  const { target, count, ids, oldest_ts, claimed = 0 } = answer as unknown as ServerMessage<"PENDING">
  if (config.json) io.json({ ok: true, role: target, waiting: count, ids, oldest_ts, claimed })
  else {
    for (const id of ids) io.out(formatForTerminal(id))
    const oldest = oldest_ts === undefined ? "" : `, the oldest from ${formatAge(oldest_ts, clock.now())}`
    io.talk(`${count} waiting for ${target}${oldest}; ${claimed} being worked on`)
  }
  return 0
}

async function claim(context: Context, choice: RequestOptions, id: string): Promise<number> {
  const { io, config } = context
  const { answer } = await relayRequest(context, choice, { type: "CLAIM", task: id })
  const { task, role, from, name, content, parts, lease_ms, attempt } =
    answer as unknown as ServerMessage<"TASK">
  if (config.json) {
    io.json({ ok: true, task, role, from, name, content, parts, lease_ms, attempt })
    return 0
  }
  io.talk(`claimed ${task}, of ${name} ${from}; yours for ${Math.round(lease_ms / 1_000)} s at a time`)
  for (const line of content.split(/\r?\n/)) io.out(formatForTerminal(line.replaceAll("\t", "  ")))
  return 0
}

const words = { DONE: "done", FAIL: "given back", EXTEND: "extended" } as const

async function end(
  context: Context,
  choice: RequestOptions,
  frame: { type: keyof typeof words; task: string },
): Promise<number> {
  const { io, config } = context
  const { via } = await relayRequest(context, choice, frame)
  if (config.json) io.json({ ok: true, task: frame.task, state: words[frame.type], via })
  else io.out(`${words[frame.type]} ${formatForTerminal(frame.task)}`)
  return 0
}
