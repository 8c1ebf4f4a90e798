import type { Commitments } from "../../client/deals/commitments.js"
import type { DealEvent } from "../../client/deals/deal-event.js"
import type { RequestFrame } from "../../client/pending.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { ChatError } from "../../protocol/errors.js"
import type { DealState } from "../../protocol/server-messages.js"
import type { Draft } from "../../protocol/statements.js"
import { proposalIdOf } from "../../protocol/verbs.js"
import type { Context } from "../context.js"
import { otherDaemonsHint } from "../daemon/daemon-choice.js"
import { answerMs, chooseDaemon, type RequestOptions, usesOwnSession } from "../relay/relay-request.js"
import { withSession } from "../relay/session.js"
import type { UnansweredStep } from "./unanswered-step.js"

/** A step that was taken. */
export interface Acted {
  readonly via: "daemon" | "relay"
  readonly proposal_id: string
  /** Of the deal, after it. */
  readonly state: DealState
  /** Id of the other party. */
  readonly to: string
  readonly msg_id: string
}

/**
 * Takes a step in a deal: this directory's daemon signs it, or the identity that is named.
 * @throws {ChatError} IDENTITY_REQUIRED without one; what the relay, or the rules, refuse; TIMEOUT or UNREACHABLE
 * before it was said; NOT_FOUND when `--name` does not run
 */
export async function act(
  context: Context,
  choice: RequestOptions,
  draft: Draft,
): Promise<Acted | UnansweredStep> {
  const paths = chooseDaemon(context, choice)
  return paths === undefined
    ? actOnSession(context, choice, draft)
    : actThroughDaemon(context, choice, { paths, draft })
}

/**
 * Makes deals on a session of its own.
 * @param onSend - is told of each frame before it goes to the relay
 * @throws {ChatError} IDENTITY_REQUIRED without `--identity`
 */
export async function withCommitments<T>(
  context: Context,
  choice: RequestOptions,
  use: (commitments: Commitments) => Promise<T>,
  onSend: (frame: RequestFrame) => void = () => {},
): Promise<T> {
  if (choice.options.identity === undefined) throw await withoutIdentity(context, choice)
  const timeoutMs = choice.options.timeout ?? answerMs
  return withSession(context, choice, async (connection, identity) => {
    if (identity === undefined) throw await withoutIdentity(context, choice)
    const { Commitments } = await import("../../client/deals/commitments.js")
    return use(
      new Commitments({
        identity,
        clock: context.clock,
        serverId: () => connection.welcome.server_id,
        request: (frame) => {
          onSend(frame)
          return connection.request(frame, timeoutMs)
        },
      }),
    )
  })
}

async function actThroughDaemon(
  context: Context,
  { options }: RequestOptions,
  { paths, draft }: { paths: DaemonPaths; draft: Draft },
): Promise<Acted | UnansweredStep> {
  const { requestThroughDaemon, newLineId } = await import("../daemon/daemon-request.js")
  const { clock } = context
  const lineId = newLineId()
  try {
    const line = await requestThroughDaemon(paths, draft, {
      clock,
      timeoutMs: options.timeout ?? answerMs,
      id: lineId,
    })
    const { proposal_id, state, to } = line["evidence"] as Pick<Acted, "proposal_id" | "state" | "to">
    return { via: "daemon", proposal_id, state, to, msg_id: String(line["msg_id"]) }
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "TIMEOUT") throw error
    const { queuedStep } = await import("./unanswered-step.js")
    return queuedStep(context, { paths, draft, lineId }, error)
  }
}

async function actOnSession(
  context: Context,
  choice: RequestOptions,
  draft: Draft,
): Promise<Acted | UnansweredStep> {
  let sentId: string | undefined
  const noteSent = (frame: RequestFrame) => {
    if (frame.type === draft.type) sentId = draft.type === "PROPOSAL" ? frame.id : draft.proposal_id
  }
  try {
    return await withCommitments(
      context,
      choice,
      async (commitments) => actedOn(await say(commitments, draft)),
      noteSent,
    )
  } catch (error) {
    const isLost = error instanceof ChatError && (error.code === "TIMEOUT" || error.code === "UNREACHABLE")
    if (!isLost || sentId === undefined) throw error
    const { sentStep } = await import("./unanswered-step.js")
    return sentStep(choice, { draft, proposalId: sentId }, error)
  }
}

function actedOn(event: DealEvent): Acted {
  const { state, to, msg_id } = event
  const proposal_id = proposalIdOf(event)
  return { via: "relay", proposal_id, state, to, msg_id }
}

function say(commitments: Commitments, draft: Draft): Promise<DealEvent> {
  switch (draft.type) {
    case "PROPOSAL": {
      const { type: _type, to, ...offer } = draft
      return commitments.propose(to, offer)
    }
    case "ACCEPT":
      return commitments.accept(draft.proposal_id, draft.payment_code)
    case "REJECT":
      return commitments.reject(draft.proposal_id, draft.reason)
    case "COMPLETE":
      return commitments.complete(draft.proposal_id, draft.proof)
    case "DISPUTE":
      return commitments.dispute(
        draft.proposal_id,
        draft.reason,
        draft.fault === undefined ? {} : { fault: draft.fault },
      )
  }
}

async function withoutIdentity(context: Context, choice: RequestOptions): Promise<ChatError> {
  const others = usesOwnSession(choice) ? undefined : await otherDaemonsHint(context, "running")
  return new ChatError("IDENTITY_REQUIRED", "a deal is signed, and no identity is there to sign it", {
    hint:
      others ??
      "run a daemon, which has one (agentchat daemon --background), or say --identity FILE (agentchat identity --generate)",
  })
}
