import { formatForTerminal } from "../base/visible-text.js"
import type { Draft } from "../protocol/statements.js"
import type { Context } from "./context.js"
import type { SpeakChoice } from "./speak.js"

/** Takes a step in a deal and tells the deal's state after it. @returns the exit status */
export async function takeStep(
  context: Context,
  choice: SpeakChoice,
  draft: Exclude<Draft, { type: "PROPOSAL" }>,
): Promise<number> {
  const { act } = await import("./deal-act.js")
  const { io, config } = context
  const acted = await act(context, choice, draft)
  if (config.json) io.json({ ok: true, ...acted })
  else io.out(`${acted.state} ${formatForTerminal(acted.proposal_id)}`)
  return 0
}
