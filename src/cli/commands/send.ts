import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import type { Address } from "../../protocol/names.js"
import { defineCommand, flag, required, value } from "../command.js"
import type { Context } from "../context.js"
import { ladder, type Rung } from "../daemon/delivery.js"
import { messageFrame, messageOptions } from "../input/message-frame.js"
import { address, anyText, closeChoice, seconds } from "../input/values.js"
import {
  type RelayAnswer,
  type RequestOptions,
  relayRequest,
  requestOptions,
} from "../relay/relay-request.js"

/** Milliseconds a rung above `accepted` may take. */
const rungMs = 30_000

export const send = defineCommand({
  args: {
    target: required("#channel, @agent (a name or an id), or +role: one free worker of it", address),
    text: required("what to say; - reads it from standard input", anyText),
  },
  options: {
    ...requestOptions,
    timeout: value("S", "wait S seconds; 10, with --wait 30, unless given", seconds),
    ...messageOptions,
    wait: value("RUNG", `end only when it is ${ladder.join(", ")}`, closeChoice(ladder), ladder),
    "dry-run": flag("send nothing: tell who would be woken, and what the guards leave you"),
  },
  takesUrl: true,
  examples: [
    "agentchat send '#general' 'the build is green'",
    "agentchat send @bob 'can you look at src/a.ts?' --wait answered --timeout 120",
    "git diff | agentchat send '#review' - --mention @bob",
    "agentchat send '#general' 'shall we merge?' --dry-run",
    "agentchat send ws://127.0.0.1:6667 '#general' hello --identity id.json",
  ],
  notes: [
    "Ends well only when the relay has the message, or it is where --wait says (exit 0). Without URL, a",
    "running daemon of this directory sends it; what it cannot send in time stays in its outbox (exit 4);",
    "what a guard refuses it keeps (exit 7): see agentchat guard.",
  ],
  async run(context, input) {
    const { target, text } = input.args
    const { wait = "accepted" } = input.options
    refuseWithoutRung(target, wait)
    const frame = await messageFrame(context, target, text, input.options)
    if (input.options["dry-run"]) {
      return (await import("../guards/guard-forecast.js")).reportForecast(context, input, frame)
    }
    if (wait !== "accepted") return waitFor(context, input, { frame, wanted: wait })
    printReceipt(context, target, await relayRequest(context, input, frame))
    return 0
  },
})

async function waitFor(
  context: Context,
  choice: RequestOptions,
  { frame, wanted }: { frame: Awaited<ReturnType<typeof messageFrame>>; wanted: Rung },
): Promise<number> {
  const timeoutMs = choice.options.timeout ?? rungMs
  const [{ runErrand }, { reportDelivery }] = await Promise.all([
    import("../daemon/delivery-wait.js"),
    import("../output/delivery-report.js"),
  ])
  return runErrand(context, choice, { frame, wanted, timeoutMs }, (result) =>
    reportDelivery(context, { to: frame.to, timeoutMs }, result),
  )
}

/** Only a direct message has a recipient whose daemon and reader can tell. */
function refuseWithoutRung(target: Address, rung: Rung): void {
  if (target.startsWith("@") || rung === "accepted" || rung === "answered") return
  throw new ChatError("USAGE", `--wait: only a message to an @agent is ever ${rung}`, {
    hint: "wait for accepted or answered",
  })
}

function printReceipt({ io, config }: Context, to: Address, { via, answer }: RelayAnswer): void {
  const { msg_id, ts, seq, recipients } = answer
  if (config.json) {
    io.json({ ok: true, state: "accepted", to, msg_id, ts, seq, recipients, via })
    return
  }
  io.out(`accepted ${formatForTerminal(String(msg_id))}`)
  if (recipients !== 0) return
  if (to.startsWith("#")) io.talk(`nobody else is in ${to} now`)
  else if (to.startsWith("+")) io.talk(`no worker of ${to} is free; the relay keeps it for the next one`)
  else io.talk(`${to} is away; the relay keeps it`)
}
