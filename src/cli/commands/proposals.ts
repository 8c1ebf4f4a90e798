import { ChatError } from "../../protocol/errors.js"
import { dealStates } from "../../protocol/server-messages.js"
import { defineCommand, optional, value } from "../command.js"
import type { Context } from "../context.js"
import { chooseInstance } from "../daemon/daemon-choice.js"
import { proposalId } from "../deals/deal-values.js"
import type { ProposalView } from "../deals/proposal-view.js"
import { closeChoice } from "../input/values.js"
import { type RequestOptions, requestOptions, usesOwnSession } from "../relay/relay-request.js"

export const proposals = defineCommand({
  args: { id: optional("show one proposal with all its statements", proposalId) },
  options: {
    state: value(
      "STATE",
      `show only proposals in this state: ${dealStates.join(", ")}`,
      closeChoice(dealStates),
      dealStates,
    ),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat proposals",
    "agentchat proposals --state pending",
    "agentchat proposals prop_k3v5mq2a7xw4tz6b --json",
  ],
  notes: [
    "Lists the proposals in the daemon's proposals.jsonl, even if it does not run (--name NAME selects the daemon). With",
    "URL or --identity, lists those that the relay has of that identity.",
  ],
  async run(context, { args: { id }, options, url }) {
    const { io, config } = context
    const all = await readViews(context, { options, url }, id)
    if (id !== undefined) return showOne(context, id, all)
    const list = all.filter(({ state }) => options.state === undefined || state === options.state)
    if (config.json) io.json({ ok: true, list })
    else {
      const { formatProposalTable } = await import("../deals/proposal-view.js")
      for (const line of formatProposalTable(list, io.columns)) io.out(line)
      if (list.length === 0) {
        const { state } = options
        io.note(`no ${state === undefined ? "" : `${state} `}proposals`)
      }
    }
    return 0
  },
})

async function showOne(context: Context, id: string, all: readonly ProposalView[]): Promise<number> {
  const { io, config } = context
  const found = all.find((view) => view.id === id)
  if (found === undefined) {
    throw new ChatError("PROPOSAL_NOT_FOUND", `ID: ${id} is not one of your proposals`, {
      hint: "see: agentchat proposals",
    })
  }
  if (config.json) io.json({ ok: true, proposal: found })
  else for (const line of (await import("../deals/proposal-view.js")).formatProposal(found)) io.out(line)
  return 0
}

/** @throws {ChatError} as {@link chooseInstance}; the relay's refusal */
async function readViews(
  context: Context,
  choice: RequestOptions,
  id: string | undefined,
): Promise<ProposalView[]> {
  const { viewOf } = await import("../deals/proposal-view.js")
  if (usesOwnSession(choice)) {
    if (choice.options.identity === undefined) {
      throw new ChatError("IDENTITY_REQUIRED", "--identity: is required to list the proposals on a relay", {
        hint: "name one with --identity FILE, or leave out URL to list the proposals of this directory's daemon",
      })
    }
    const { withDealCalls } = await import("../deals/deal-request.js")
    const listed = await withDealCalls(context, choice, (calls) =>
      calls.proposals(id === undefined ? {} : { id }),
    )
    return listed.map(viewOf)
  }
  const { proposals: path } = chooseInstance(context, choice.options.name)
  const { readDealLog } = await import("../../daemon/deals/proposals-file.js")
  const { proposalOf } = await import("../../proposals/deal-event.js")
  const now = context.clock.now()
  return readDealLog(path).map(({ deal, names }) =>
    viewOf(proposalOf(deal, (party) => names.get(party), now)),
  )
}
