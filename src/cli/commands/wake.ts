import { delay } from "../../base/clock.js"
import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { openHome } from "../../daemon/files/home.js"
import { type DaemonStatus, readStatus } from "../../daemon/status.js"
import type { WakeStatus } from "../../daemon/wake/wake-status.js"
import { ChatError } from "../../protocol/errors.js"
import {
  type Address,
  type AgentRef,
  agentRefPattern,
  type Channel,
  channelPattern,
} from "../../protocol/names.js"
import type { ChannelAttention } from "../../protocol/wake.js"
import { defineCommand, optional } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { closeChoice, someText } from "../input/values.js"
import { describeWake } from "../output/wake-text.js"
import { Delivery, type ReachedStage } from "../relay/delivery.js"
import { daemonOptions, daemonRequest, requireDaemon } from "../relay/relay-request.js"
import { describeWakeable, targetOf } from "../relay/target-facts.js"

const actions = ["status", "test", "open", "quiet", "muted"] as const
/** Milliseconds to wait for an echo, without `--timeout`. */
const echoMs = 30_000
const lookMs = 50

export const wake = defineCommand({
  args: {
    action: optional(
      "status (default), test, or open, quiet, muted for a channel",
      closeChoice(actions),
      actions,
    ),
    target: optional("test: the @agent (default: your own session); else the #channel", someText),
  },
  options: daemonOptions,
  takesUrl: false,
  examples: [
    "agentchat wake",
    "agentchat wake test",
    "agentchat wake test @bob",
    "agentchat wake quiet '#general'",
  ],
  notes: [
    "The daemon rings an idle session of a coding harness when something arrives that concerns the agent, and the session",
    "returns the number of the ring: that proves it. test rings now; it costs the agent a turn. Exit 4 if no echo came.",
    "quiet: of the channel only mentions ring; muted: nothing does. See also: agentchat presence --attention.",
  ],
  async run(context, { args: { action = "status", target }, options }) {
    if (action === "status") return showStatus(context, requireDaemon(context, options.name).status, target)
    if (action !== "test") return setChannel(context, options, target, action)
    if (target === undefined) return testSelf(context, options)
    if (!agentRefPattern.test(target))
      throw new ChatError("USAGE", "TARGET: must be @ and a name or an agent id")
    return testOther(context, options, target as AgentRef)
  },
})

interface Options {
  readonly name: Parameters<typeof requireDaemon>[1]
  readonly timeout: number | undefined
}

function showStatus(context: Context, path: string, target: string | undefined): number {
  if (target !== undefined) throw new ChatError("USAGE", "TARGET: not allowed with status")
  const status = wakeStatusIn(readStatus(path))
  return reportSuccess(context, { wake: status }, describeWake(status, context.clock.now()))
}

async function setChannel(
  context: Context,
  options: Options,
  channel: string | undefined,
  attention: ChannelAttention,
): Promise<number> {
  if (channel === undefined || !channelPattern.test(channel)) {
    throw new ChatError("USAGE", `TARGET: ${attention} needs a #channel`)
  }
  const frame = { type: "SET_ATTENTION", channel: channel as Channel, attention } as const
  await daemonRequest(context, options, frame)
  const what = { open: "every message", quiet: "only mentions of you", muted: "nothing" }[attention]
  return reportSuccess(context, { channel, attention }, `${what} in ${channel} can wake you`)
}

/** Rings the session of the own daemon. */
async function testSelf(context: Context, options: Options): Promise<number> {
  const { config, clock, system } = context
  const { timeout = echoMs } = options
  const paths = requireDaemon(context, options.name)
  const { testDaemonWake } = await import("../../daemon/process/control.js")
  const before = clock.now()
  await testDaemonWake(openHome(config.home, config.uid), paths.name, { clock, system })
  const deadline = clock.monotonic() + timeout
  for (;;) {
    const status = wakeStatusIn(readStatus(paths.status))
    const { proven, failed, ring } = status
    if (proven !== null && proven.proven_ts >= before) {
      return reportSuccess(context, { woken: true, ...proven }, describeWake(status, clock.now())[0] ?? "")
    }
    if (failed !== null && failed.ts >= before && ring === null) {
      throw new ChatError("TIMEOUT", `not woken: ${failed.method}: ${failed.reason}`)
    }
    if (clock.monotonic() >= deadline) throw noEchoError(timeout, ring?.method)
    await delay(clock, lookMs)
  }
}

function noEchoError(timeoutMs: number, method = "the session"): ChatError {
  return new ChatError("TIMEOUT", `no echo within ${timeoutMs / 1_000} s; ${method} has the ring`, {
    hint: "a session that works answers after its turn: see `agentchat wake` then",
  })
}

/** Sends an agent a message that says what it is for, and shows the stages it reaches. */
async function testOther(context: Context, options: Options, to: AgentRef): Promise<number> {
  const { clock } = context
  const { timeout = echoMs } = options
  const paths = requireDaemon(context, options.name)
  const { newLineId, OutboxRequest } = await import("../daemon/daemon-request.js")
  const frame = {
    type: "MSG" as const,
    to: to as Address,
    content: "A test whether you can be woken. Nothing is to do, and no answer is needed.",
  }
  const delivery = new Delivery(frame.to, "in_context")
  const request = new OutboxRequest(paths, frame, clock, newLineId(context.system))
  try {
    await request.waitFor(timeout, () => {
      for (const line of request.read()) delivery.takeStage(line)
      return delivery.isOver || undefined
    })
    if (delivery.stages.length === 0) throw await request.timeoutError(timeout)
  } finally {
    request.close()
  }
  return reportOther(context, to, delivery, timeout)
}

function reportOther(context: Context, to: AgentRef, delivery: Delivery, timeoutMs: number): number {
  const { stages, msgId: msg_id } = delivery
  const now = context.clock.now()
  const target = targetOf(delivery.target, now)
  const stageOf = (wanted: string) => stages.find(({ state }) => state === wanted)
  const rung = stageOf("rung")
  const read = stageOf("in_context")
  if (read === undefined)
    throw unreadError(to, rung, target === undefined ? "" : describeWakeable(to, target, now), timeoutMs)
  const latency_ms = read.ts - (stageOf("accepted")?.ts ?? read.ts)
  const woken = rung !== undefined
  const method = rung?.method
  const how = woken ? `woken by ${method ?? "?"}` : `it read without a ring (${read.method ?? "?"})`
  const text = `${to}: ${how}; the message was in its context ${latency_ms} ms after it was sent`
  const document = { woken, to, msg_id, method, latency_ms, target, stages }
  return reportSuccess(context, omitUndefined(document), formatForTerminal(text))
}

function unreadError(
  to: AgentRef,
  rung: ReachedStage | undefined,
  why: string,
  timeoutMs: number,
): ChatError {
  const state = rung === undefined ? "not rung" : `rung by ${rung.method ?? "?"}, no echo yet`
  const time = `within ${timeoutMs / 1_000} s`
  return new ChatError("TIMEOUT", [`${to}: ${state} ${time}`, ...(why === "" ? [] : [why])].join("; "), {
    hint: "the message is not lost: it waits in its mailbox",
  })
}

/** Older versions of the daemon do not write it. */
function wakeStatusIn(status: Partial<DaemonStatus> | undefined): WakeStatus {
  const none = { proven: null, doors: [], waits: false, ring: null, failed: null, channels: {} }
  return status?.wake ?? none
}
