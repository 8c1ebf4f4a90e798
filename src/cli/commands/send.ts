import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { RequestFrame } from "../../client/pending.js"
import { ChatError } from "../../protocol/errors.js"
import type { Address } from "../../protocol/names.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import { defineCommand, flag, required, value } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { messageFrame, messageOptions } from "../input/message-frame.js"
import { address, anyText, closeChoice, seconds } from "../input/values.js"
import { type DeliveryStage, deliveryStages, sendAndWait } from "../relay/delivery.js"
import {
  answerMs,
  type RelayAnswer,
  type RequestOptions,
  relayRequest,
  requestOptions,
} from "../relay/relay-request.js"
import { describeUnserved, findUnserved, type UnservedRole } from "../relay/unserved-role.js"

const requirements = ["wakeable"] as const

/** Milliseconds to wait for a stage after `accepted`, without `--timeout`. */
const stageMs = 30_000

export const send = defineCommand({
  args: {
    target: required("#channel, @agent or +role (one free worker of it)", address),
    text: required("the message; - reads it from standard input", anyText),
  },
  options: {
    ...requestOptions,
    timeout: value(
      "S",
      `seconds to wait (default ${answerMs / 1_000}, with --wait ${stageMs / 1_000})`,
      seconds,
    ),
    ...messageOptions,
    wait: value(
      "STAGE",
      `${deliveryStages.join(", ")}: wait for this`,
      closeChoice(deliveryStages),
      deliveryStages,
    ),
    require: value(
      "WHAT",
      "wakeable: send only if the @agent is proven to wake",
      closeChoice(requirements),
      requirements,
    ),
    "dry-run": flag("send nothing; show who it would wake, and the limits"),
  },
  takesUrl: true,
  examples: [
    "agentchat send '#general' 'the build is green'",
    "agentchat send @bob 'can you look at src/a.ts?' --wait answered --timeout 120",
    "git diff | agentchat send '#review' - --mention @bob",
    "agentchat send '#general' 'shall we merge?' --dry-run",
  ],
  notes: [
    "Exit 0 once the relay has the message, or it reached the stage of --wait. Without URL, a running",
    "daemon of this directory sends it. A message it cannot send in time stays in its outbox (exit 4); a",
    "message that a guard stops is held (exit 7, see agentchat guard).",
  ],
  async run(context, input) {
    const { target, text } = input.args
    const { wait: wanted = "accepted", timeout: timeoutMs = stageMs } = input.options
    refuseUnreachableStage(target, wanted)
    const frame = await messageFrame(context, target, text, input.options)
    if (input.options["dry-run"]) {
      return (await import("../guards/guard-report.js")).reportForecast(context, input, frame)
    }
    if (input.options.require !== undefined) await requireWakeable(context, input, target)
    if (wanted !== "accepted") return sendAndWait(context, input, { frame, wanted, timeoutMs })
    const accepted = await relayRequest(context, input, frame)
    const ask = async (query: RequestFrame) => (await relayRequest(context, input, query)).answer
    const unserved =
      accepted.answer["recipients"] === 0 ? await findUnserved(target, ask, accepted.self) : undefined
    return reportAccepted(context, target, accepted, unserved)
  },
})

function refuseUnreachableStage(target: Address, stage: DeliveryStage): void {
  if (target.startsWith("@") || stage === "accepted" || stage === "answered") return
  throw new ChatError("USAGE", `--wait: only a message to an @agent can be ${stage}`, {
    hint: "wait for accepted or answered",
  })
}

/** @throws {ChatError} NOT_WAKEABLE, with why; AGENT_NOT_FOUND */
async function requireWakeable(context: Context, input: RequestOptions, to: Address): Promise<void> {
  if (!to.startsWith("@")) throw new ChatError("USAGE", "--require: only an @agent can be wakeable")
  // An address that begins so is one of an agent.
  const { answer } = await relayRequest(context, input, {
    type: "LIST_AGENTS",
    agent: to,
  })
  const [entry] = answer["roster"] as readonly RosterEntry[]
  const now = context.clock.now()
  const { describeWakeable, targetOf } = await import("../relay/target-facts.js")
  const target = targetOf(entry, now)
  if (target === undefined) throw new ChatError("AGENT_NOT_FOUND", `${to} is not known to the relay`)
  if (target.wakeable) return
  throw new ChatError("NOT_WAKEABLE", `${describeWakeable(to, target, now)}; nothing was sent`, {
    hint: `send without --require: it waits in its mailbox; to find out: agentchat wake test ${to}`,
  })
}

async function reportAccepted(
  context: Context,
  to: Address,
  { via, answer }: RelayAnswer,
  unserved: UnservedRole | undefined,
): Promise<number> {
  const { msg_id, ts, seq, recipients } = answer
  const now = context.clock.now()
  // Only a message to an agent needs it.
  const facts = answer["target"] === undefined ? undefined : await import("../relay/target-facts.js")
  const target = facts?.targetOf(answer["target"], now)
  const more = omitUndefined({ target })
  const document = { state: "accepted", to, msg_id, ts, seq, recipients, ...more, ...unserved, via }
  const status = reportSuccess(context, document, receiptOf(answer, to, target?.status))
  const silence = target === undefined ? undefined : facts?.describeSilence(to, target, now)
  if (unserved !== undefined) context.io.note(describeUnserved(to, unserved))
  else if (context.config.json) return status
  else if (silence !== undefined) context.io.note(silence)
  else if (recipients === 0) context.io.note(whereItWaits(to))
  return status
}

/** Names the message, its number in the channel, and who it went to at once. */
function receiptOf({ msg_id, seq, recipients }: RelayAnswer["answer"], to: Address, status?: string): string {
  const facts = [
    `accepted ${String(msg_id)}`,
    ...(typeof seq === "number" ? [`seq ${seq}`] : []),
    ...(status === undefined ? [] : [`${to} ${status}`]),
    ...(typeof recipients !== "number" || status !== undefined
      ? []
      : [recipients === 1 ? "1 recipient" : `${recipients} recipients`]),
  ]
  return formatForTerminal(facts.join(", "))
}

function whereItWaits(to: Address): string {
  if (to.startsWith("#")) return `nobody else is in ${to} now`
  if (to.startsWith("+")) return `no worker of ${to} is free; the relay keeps it for the next one`
  return `${to} is away; the relay keeps it`
}
