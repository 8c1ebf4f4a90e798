import { formatForTerminal } from "../../base/visible-text.js"
import type { Draft } from "../../protocol/statements.js"
import type { Context } from "../context.js"
import type { RequestOptions } from "../relay/relay-request.js"

/**
 * Takes a step in a deal and tells the deal's state after it; of a proposal, its id. One that nobody answered in time
 * is told with what to do next.
 * @returns the exit status
 */
export async function takeStep(context: Context, choice: RequestOptions, draft: Draft): Promise<number> {
  const { act } = await import("./deal-act.js")
  const { io, config } = context
  const acted = await act(context, choice, draft)
  if ("error" in acted) return (await import("./unanswered-step.js")).reportUnanswered(context, acted)
  const { state, proposal_id: id } = acted
  if (config.json) io.json({ ok: true, ...acted })
  else io.out(formatForTerminal(draft.type === "PROPOSAL" ? id : `${state} ${id}`))
  return 0
}
