import { resolve } from "node:path"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, required, value } from "../command.js"
import { amountText, currencyName, paymentCode, taskText, termsText, timeSpan } from "../deals/deal-values.js"
import { readSmallText, textArgument } from "../input/text-source.js"
import { agentRef, someText } from "../input/values.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { requestOptions } from "../relay/relay-request.js"

export const propose = defineCommand({
  args: {
    agent: required("whom: @name or @id of an agent with an identity", agentRef),
    task: required("what is to be done; - reads it from standard input", someText),
  },
  options: {
    amount: value("N", "what it is worth: a decimal number, signed as it is written", amountText),
    currency: value("NAME", "in what: SOL, USDC, EUR, …", currencyName),
    "payment-code": value("CODE", "where payment goes, or comes from", paymentCode),
    expires: value("T", "until when it can be accepted: 300 (seconds), 5m, 24h; 7d unless given", timeSpan),
    terms: value("FILE", "a text file with what else is agreed; part of what is signed", someText, "file"),
    "dispute-window": value("T", "how long it can be disputed once completed; 7d unless given", timeSpan),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat propose @bob 'review src/a.ts'",
    "agentchat propose @bob 'review src/a.ts' --amount 0.05 --currency SOL --expires 1h",
    "agentchat propose @361d642d60ecf1bb 'translate the README' --terms terms.txt --json",
  ],
  notes: [
    "Prints the id of the proposal. It is signed: once accepted, both can prove it to anybody. No payment is made.",
    "Without URL, a running daemon of this directory signs and sends it; else --identity must say who does.",
  ],
  async run(context, input) {
    const { system } = context
    const { "payment-code": payment_code, "dispute-window": dispute_window, ...options } = input.options
    const { amount, currency, expires } = options
    const task = checkTask(await textArgument(input.args.task, context.io.input))
    const terms = options.terms === undefined ? undefined : readTerms(resolve(system.cwd, options.terms))
    const { sendDraft } = await import("../deals/deal-request.js")
    return sendDraft(context, input, {
      type: "PROPOSAL",
      to: input.args.agent,
      task,
      ...omitUndefined({ amount, currency, payment_code, terms, expires, dispute_window }),
    })
  },
})

function checkTask(task: string): string {
  try {
    return taskText(task, "TASK")
  } catch (error) {
    if (!(error instanceof ChatError) || task.length <= 2_000) throw error
    throw new ChatError("USAGE", error.message, { hint: "put longer text into a file: --terms FILE" })
  }
}

/** Reads the terms exactly as they are, because every character is signed. */
function readTerms(path: string): string | undefined {
  return termsText(readSmallText(path, "--terms", { keepBom: true }), `--terms: ${path}`)
}
