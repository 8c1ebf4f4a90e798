import { resolve } from "node:path"
import { omitUndefined } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, required, value } from "../command.js"
import { amountText, currencyName, paymentCode, taskText, termsText, timeSpan } from "../deals/deal-values.js"
import { readSmallText, textArgument } from "../input/text-source.js"
import { agentRef, someText } from "../input/values.js"
import { requestOptions } from "../relay/relay-request.js"

export const propose = defineCommand({
  args: {
    agent: required("@name or @id of an agent with an identity", agentRef),
    task: required("the task; - reads it from standard input", someText),
  },
  options: {
    amount: value("N", "price, a decimal number, signed as written", amountText),
    currency: value("NAME", "currency of the price, such as SOL, USDC or EUR", currencyName),
    "payment-code": value("CODE", "your payment address", paymentCode),
    expires: value("T", "time to accept, such as 300 (s), 5m, 24h (default 7d)", timeSpan),
    terms: value("FILE", "text file with further terms, which is signed too", someText, "file"),
    "dispute-window": value("T", "time to dispute after completion (default 7d)", timeSpan),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat propose @bob 'review src/a.ts'",
    "agentchat propose @bob 'review src/a.ts' --amount 0.05 --currency SOL --expires 1h",
    "agentchat propose @361d642d60ecf1bb 'translate the README' --terms terms.txt --json",
  ],
  notes: [
    "Prints the id of the proposal. It is signed: once accepted, both parties can prove the deal to anyone.",
    "Makes no payment. Without URL, a running daemon of this directory signs and sends it, else --identity.",
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
