import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { roleRefPattern } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { defineCommand, optional, required } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { textArgument } from "../input/text-source.js"
import { anyText, closeChoice, someText } from "../input/values.js"
import { formatAge } from "../output/time.js"
import { chooseDaemon, type RequestOptions, relayRequest, requestOptions } from "../relay/relay-request.js"
import { withSession } from "../relay/session.js"

const verbs = ["list", "claim", "done", "fail", "extend"] as const

export const task = defineCommand({
  args: {
    verb: required(verbs.join(", "), closeChoice(verbs), verbs),
    task: required("id of the task; for list: the +role", someText),
    text: optional("done: the answer (- reads standard input); fail: the reason", anyText),
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
    "The relay assigns tasks of your role while you are `idle`; each arrives in the inbox as a TASK line.",
    "It is leased to you, and the daemon renews the lease while you are `working`. End it with done, or",
    "return it with fail.",
  ],
  async run(context, input) {
    const { verb, task: id, text } = input.args
    if (text !== undefined && verb !== "done" && verb !== "fail") {
      throw new ChatError("USAGE", `TEXT: not allowed with ${verb}`)
    }
    switch (verb) {
      case "list":
        return list(context, input, id)
      case "claim":
        return claim(context, input, id)
      case "done": {
        const content = text === undefined ? undefined : await textArgument(text, context.io.input)
        if (content !== undefined && chooseDaemon(context, input) === undefined)
          return answerOnSession(context, input, { task: id, answer: content })
        return update(context, input, { type: "DONE", task: id, ...omitUndefined({ content }) })
      }
      case "fail":
        return update(context, input, { type: "FAIL", task: id, ...omitUndefined({ reason: text }) })
      case "extend":
        return update(context, input, { type: "EXTEND", task: id })
    }
  },
})

async function list(context: Context, choice: RequestOptions, role: string): Promise<number> {
  if (!roleRefPattern.test(role)) {
    throw new ChatError("USAGE", "TASK: list needs a +role", {
      hint: "such as: agentchat task list +reviewer",
    })
  }
  const { answer } = await relayRequest(context, choice, { type: "PENDING", target: role })
  const { target, count, ids, oldest_ts, claimed = 0 } = answer as unknown as ServerMessage<"PENDING">
  const document = { role: target, waiting: count, ids, oldest_ts, claimed }
  const status = reportSuccess(context, document, ids.map(formatForTerminal))
  const oldest =
    oldest_ts === undefined ? "" : `, the oldest from ${formatAge(oldest_ts, context.clock.now())}`
  if (!context.config.json) context.io.note(`${count} waiting for ${target}${oldest}; ${claimed} in progress`)
  return status
}

async function claim(context: Context, choice: RequestOptions, id: string): Promise<number> {
  const { answer } = await relayRequest(context, choice, { type: "CLAIM", task: id })
  const {
    task: claimed,
    role,
    from,
    name,
    content,
    parts,
    lease_ms,
    attempt,
  } = answer as unknown as ServerMessage<"TASK">
  if (!context.config.json) {
    const leaseS = Math.round(lease_ms / 1_000)
    context.io.note(`claimed ${claimed}, from ${name} ${from}; the lease lasts ${leaseS} s`)
  }
  const document = { task: claimed, role, from, name, content, parts, lease_ms, attempt }
  const lines = content.split(/\r?\n/).map((line) => formatForTerminal(line.replaceAll("\t", "  ")))
  return reportSuccess(context, document, lines)
}

/** Answers on a session of the command's own, which has to take the task to know what to sign. */
async function answerOnSession(
  context: Context,
  choice: RequestOptions,
  { task: id, answer }: { readonly task: string; readonly answer: string },
): Promise<number> {
  await withSession(context, choice, async (connection, identity) => {
    const { server_id: aud } = connection.welcome
    const { answerTask } = await import("../../client/answer-task.js")
    if (identity === undefined) await connection.request({ type: "DONE", task: id, content: answer })
    else
      await answerTask(
        (frame) => connection.request(frame),
        { task: id, answer },
        {
          ...{ aud, keyPair: identity.keyPair, ts: context.clock.now() },
        },
      )
  })
  return reportSuccess(
    context,
    { task: id, state: states.DONE, via: "relay" },
    `${states.DONE} ${formatForTerminal(id)}`,
  )
}

const states = { DONE: "done", FAIL: "given back", EXTEND: "extended" } as const

async function update(
  context: Context,
  choice: RequestOptions,
  frame: { type: keyof typeof states; task: string },
): Promise<number> {
  const { via } = await relayRequest(context, choice, frame)
  const state = states[frame.type]
  return reportSuccess(context, { task: frame.task, state, via }, `${state} ${formatForTerminal(frame.task)}`)
}
