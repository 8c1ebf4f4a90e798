import { createHash } from "node:crypto"
import { shellWord } from "../../base/command-hint.js"
import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { DealCalls } from "../../client/deals/deal-calls.js"
import type { RequestFrame } from "../../client/pending.js"
import { type DaemonPaths, rootPaths } from "../../daemon/files/paths.js"
import { readStatus } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import type { DealState } from "../../protocol/server-messages.js"
import type { Draft } from "../../protocol/statements.js"
import { proposalIdOf } from "../../protocol/verbs.js"
import type { Context } from "../context.js"
import { reportFailure } from "../exit-status.js"
import { identityFiles } from "../relay/own-identity.js"
import { answerMs, chooseDaemon, type RequestOptions } from "../relay/relay-request.js"
import { withSession } from "../relay/session.js"

/** A statement that the relay has. */
interface Answered {
  readonly via: "daemon" | "relay"
  readonly proposal_id: string
  /** State of the deal after it. */
  readonly state: DealState
  /** Id of the other party. */
  readonly to: string
  readonly msg_id: string
}

/** A draft that was sent, and that the relay may or may not have. */
interface Unanswered {
  readonly via: "daemon" | "relay"
  /** Undefined if the id is unknown until the daemon has signed the proposal. */
  readonly proposalId: string | undefined
  /** The reason, and a hint how to find out. */
  readonly error: ChatError
}

/**
 * Signs and sends a draft with this directory's daemon, or with the named identity. Prints the state of the deal, or
 * the id of a new proposal; if there is no answer in time, what to do next.
 * @returns the exit status
 * @throws {ChatError} IDENTITY_REQUIRED; a refusal by the relay or the rules; TIMEOUT or UNREACHABLE before the draft
 * was sent; NOT_FOUND if the daemon of `--name` does not run
 */
export async function sendDraft(context: Context, choice: RequestOptions, draft: Draft): Promise<number> {
  const { io, config } = context
  const paths = chooseDaemon(context, choice)
  const result =
    paths === undefined
      ? await sendOnSession(context, choice, draft)
      : await sendThroughDaemon(context, choice, { paths, draft })
  if ("error" in result) {
    const { via, proposalId: proposal_id, error } = result
    return reportFailure(context, error, omitUndefined({ proposal_id, via }))
  }
  const { state, proposal_id: id } = result
  if (config.json) io.json({ ok: true, ...result })
  else {
    if (draft.type === "ACCEPT" && state === "pending")
      io.note("people are asked (+human); the daemon accepts on yes, and rejects otherwise")
    io.out(formatForTerminal(draft.type === "PROPOSAL" ? id : `${state} ${id}`))
  }
  return 0
}

/**
 * Opens a session and passes its deals to `use`.
 * @param onSend - called with each frame before it is sent
 * @throws {ChatError} IDENTITY_REQUIRED without `--identity`
 */
export async function withDealCalls<T>(
  context: Context,
  choice: RequestOptions,
  use: (calls: DealCalls) => Promise<T>,
  onSend: (frame: RequestFrame) => void = () => {},
): Promise<T> {
  if (choice.options.identity === undefined) throw identityRequired()
  const timeoutMs = choice.options.timeout ?? answerMs
  return withSession(context, choice, async (connection, identity) => {
    if (identity === undefined) throw identityRequired()
    const { DealCalls } = await import("../../client/deals/deal-calls.js")
    const relay = {
      serverId: () => connection.welcome.server_id,
      request: ((frame) => {
        onSend(frame)
        return connection.request(frame, timeoutMs)
      }) as typeof connection.request,
    }
    return use(new DealCalls({ identity, clock: context.clock, relay }))
  })
}

async function sendThroughDaemon(
  context: Context,
  { options }: RequestOptions,
  { paths, draft }: { paths: DaemonPaths; draft: Draft },
): Promise<Answered | Unanswered> {
  const { requestThroughDaemon, newLineId, outboxLine } = await import("../daemon/daemon-request.js")
  const { clock, config } = context
  const lineId = newLineId(context.system)
  try {
    const line = await requestThroughDaemon(paths, draft, {
      clock,
      timeoutMs: options.timeout ?? answerMs,
      id: lineId,
    })
    const { proposal_id, state, to } = line["evidence"] as Pick<Answered, "proposal_id" | "state" | "to">
    return { via: "daemon", proposal_id, state, to, msg_id: String(line["msg_id"]) }
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "TIMEOUT") throw error
    const proposalId =
      draft.type === "PROPOSAL"
        ? await futureIdOf(config.home, paths, { id: lineId, text: outboxLine(draft, lineId) })
        : draft.proposal_id
    return { via: "daemon", proposalId, error: queuedError(error, draft, proposalId, paths.name) }
  }
}

async function sendOnSession(
  context: Context,
  choice: RequestOptions,
  draft: Draft,
): Promise<Answered | Unanswered> {
  let sentId: string | undefined
  const noteSent = (frame: RequestFrame) => {
    if (frame.type === draft.type) sentId = draft.type === "PROPOSAL" ? frame.id : draft.proposal_id
  }
  try {
    const event = await withDealCalls(context, choice, (calls) => calls.send(draft), noteSent)
    const { state, to, msg_id } = event
    return { via: "relay", proposal_id: proposalIdOf(event), state, to, msg_id }
  } catch (error) {
    if (!(error instanceof ChatError) || sentId === undefined) throw error
    if (error.code !== "TIMEOUT" && error.code !== "UNREACHABLE") throw error
    return { via: "relay", proposalId: sentId, error: sentError(error, draft, sentId, choice) }
  }
}

/** The draft is in the daemon's outbox. */
function queuedError(cause: ChatError, draft: Draft, id: string | undefined, daemon: string): ChatError {
  const words = ["agentchat proposals", ...(id === undefined ? [] : [id]), "--name", daemon]
  return new ChatError("TIMEOUT", `${id ?? draft.type}: ${cause.message}`, {
    cause,
    hint: `do not repeat the command, the daemon still sends it; check with: ${words.join(" ")}, and until then: agentchat status --name ${daemon}`,
  })
}

/** The statement went to a relay, which may have recorded it. */
function sentError(
  cause: ChatError,
  { type }: Draft,
  id: string,
  { url, options }: RequestOptions,
): ChatError {
  const { identity } = options
  const words = [url, id, ...(identity === undefined ? [] : ["--identity", identity])]
  const command = words.flatMap((word) => (word === undefined ? [] : [shellWord(word)])).join(" ")
  return new ChatError(cause.code, `${id}: ${type} was sent, but: ${cause.message}`, {
    cause,
    hint: `the relay may have it; check with: agentchat proposals ${command}; repeat the command only if it does not`,
  })
}

/** Computes the id that the daemon will give a proposal. @returns undefined if its identity is not in the home */
async function futureIdOf(
  home: string,
  paths: DaemonPaths,
  line: { id: string; text: string },
): Promise<string | undefined> {
  const agentId = readStatus(paths.status)?.agent_id
  const [{ inspectIdentity }, { keyOfLine, statementId }] = await Promise.all([
    import("../../identity/identity-file.js"),
    import("../../proposals/draft.js"),
  ])
  const key = keyOfLine(line.id, createHash("sha256").update(line.text).digest("hex"))
  for (const path of identityFiles(rootPaths(home))) {
    try {
      const { agent_id, did } = inspectIdentity(path)
      if (agent_id === agentId) return statementId("PROPOSAL", did, key)
    } catch (error) {
      // Another daemon's file may be damaged or missing.
      if (!(error instanceof ChatError)) throw error
    }
  }
  return undefined
}

function identityRequired(): ChatError {
  return new ChatError("IDENTITY_REQUIRED", "a deal needs an identity to sign with", {
    hint: "run a daemon, which has one (agentchat daemon --background), or name one with --identity FILE (agentchat identity --generate)",
  })
}
