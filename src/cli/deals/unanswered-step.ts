/** A step in a deal that was said, and of which nobody told in time whether it was taken. */
import { type DaemonPaths, rootPaths } from "../../daemon/files/paths.js"
import { readStatus } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import type { Draft } from "../../protocol/statements.js"
import type { Context } from "../context.js"
import { failureDocument, reportFailure } from "../exit-status.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { shellWord } from "../output/shell-words.js"
import { identityFiles } from "../relay/own-identity.js"
import type { RequestOptions } from "../relay/relay-request.js"

/** What is known of it. */
export interface UnansweredStep {
  readonly via: "daemon" | "relay"
  /** Undefined for a proposal whose id only the daemon can tell, once it has signed it. */
  readonly proposalId: string | undefined
  /** Why it is not known, and how to find out. */
  readonly error: ChatError
}

/** Tells of it: the proposal's id, and what to do next. @returns the exit status */
export function reportUnanswered({ io, config }: Context, step: UnansweredStep): number {
  const { via, proposalId: proposal_id, error } = step
  if (config.json) io.json({ ...omitUndefined({ proposal_id, via }), ...failureDocument(error) })
  return reportFailure(io, error, false)
}

/**
 * The step waits in a daemon's outbox.
 * @param lineId - id of its line there
 */
export async function queuedStep(
  { config }: Context,
  { paths, draft, lineId }: { paths: DaemonPaths; draft: Draft; lineId: string },
  cause: ChatError,
): Promise<UnansweredStep> {
  const proposalId =
    draft.type === "PROPOSAL" ? await proposalIdOf(config.home, paths, lineId) : draft.proposal_id
  const which = proposalId === undefined ? "" : ` ${proposalId}`
  return {
    via: "daemon",
    proposalId,
    error: new ChatError("TIMEOUT", `${proposalId ?? draft.type}: ${cause.message}`, {
      cause,
      hint: `do not say it again: the daemon will; then see: agentchat proposals${which} --name ${paths.name}, and until then: agentchat status --name ${paths.name}`,
    }),
  }
}

/** The step went to a relay, which may have taken it. */
export function sentStep(
  { url, options }: RequestOptions,
  { draft, proposalId }: { draft: Draft; proposalId: string },
  cause: ChatError,
): UnansweredStep {
  const { identity } = options
  const words = [url, proposalId, ...(identity === undefined ? [] : ["--identity", identity])]
  const look = words.flatMap((word) => (word === undefined ? [] : [shellWord(word)])).join(" ")
  return {
    via: "relay",
    proposalId,
    error: new ChatError(cause.code, `${proposalId}: ${draft.type} was sent, and then: ${cause.message}`, {
      cause,
      hint: `the relay may have it; look: agentchat proposals ${look}; say it again only if it has not`,
    }),
  }
}

/** The id the daemon will give it: of its key and the line. Undefined when its identity does not stand in the home. */
async function proposalIdOf(home: string, paths: DaemonPaths, lineId: string): Promise<string | undefined> {
  const agentId = readStatus(paths.status)?.agent_id
  const [{ inspectIdentity }, { statementId }] = await Promise.all([
    import("../../identity/identity-file.js"),
    import("../../proposals/draft.js"),
  ])
  for (const path of identityFiles(rootPaths(home))) {
    try {
      const { agent_id, did } = inspectIdentity(path)
      if (agent_id === agentId) return statementId("PROPOSAL", did, lineId)
    } catch (error) {
      // Another daemon's, damaged or not there.
      if (!(error instanceof ChatError)) throw error
    }
  }
  return undefined
}
