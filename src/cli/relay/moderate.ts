/** Signs actions of an operator and sends them to the relay. */
import { randomUUID } from "node:crypto"
import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { RequestFrame } from "../../client/pending.js"
import { readStatus } from "../../daemon/status.js"
import { readIdentity } from "../../identity/identity-file.js"
import { signModeration } from "../../identity/moderation.js"
import type { KeyPair } from "../../identity/signer.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultServer } from "../../protocol/limits.js"
import { type ModerationAction, maxReason } from "../../protocol/moderation.js"
import type { AgentId, AgentRef, Channel, RoleRef } from "../../protocol/names.js"
import type { RosterEntry } from "../../protocol/server-messages.js"
import { value } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { duration, textUpTo } from "../input/values.js"
import { ownIdentityFile } from "./own-identity.js"
import {
  answerMs,
  askDaemon,
  chooseDaemon,
  type RelayAnswer,
  type RequestOptions,
  requestOptions,
} from "./relay-request.js"
import { knownServers, withSession } from "./session.js"

/** Options of every action. */
export const moderationOptions = {
  reason: value("TEXT", `why, up to ${maxReason} characters (required)`, textUpTo(maxReason)),
  ...requestOptions,
}
/** Options of actions that end by themselves. */
export const lastingOptions = {
  for: value("TIME", "how long, such as 1h or 7d (default: until it is lifted)", duration),
  ...moderationOptions,
}

/** How the text of the report begins, by action. */
const reports: Readonly<Record<ModerationAction, string>> = {
  kick: "took out",
  ban: "banned",
  unban: "lifted the ban of",
  mute: "muted",
  unmute: "lifted the muting of",
  close: "closed",
  reopen: "reopened",
  restrict: "set who writes to",
  unrestrict: "let everybody write to",
  revoke: "revoked the grant",
  clear: "deleted the history of",
}

/** An action as a command names it. */
export interface WantedAction {
  readonly action: ModerationAction
  readonly agent?: AgentRef
  readonly channel?: Channel
  /** The id of a grant. */
  readonly grant?: string
  /** Agents and roles that may write. */
  readonly writers?: readonly (AgentRef | RoleRef)[]
  readonly reason: string | undefined
  /** Milliseconds; undefined for an action that does not end by itself. */
  readonly forMs?: number | undefined
}

/** An operator that is connected to its relay. */
interface Operator {
  readonly ask: (frame: RequestFrame) => Promise<RelayAnswer["answer"]>
  readonly keyPair: KeyPair
  readonly serverId: string
  /** Address of the relay. */
  readonly server: string
}

/** Carries out an action and reports it. @throws {ChatError} USAGE, IDENTITY_REQUIRED, and the errors of the relay */
export async function moderate(
  context: Context,
  choice: RequestOptions,
  { action, agent, channel, grant, writers, reason, forMs }: WantedAction,
): Promise<number> {
  if (reason === undefined || reason.trim() === "") {
    throw new ChatError("USAGE", "--reason: is required", { hint: "the audit log keeps it: --reason 'spam'" })
  }
  return asOperator(context, choice, async ({ ask, keyPair, serverId }) => {
    const ts = context.clock.now()
    const target = agent === undefined ? undefined : await idOf(agent, ask)
    const until = forMs === undefined ? undefined : ts + forMs
    const resolve = async (writer: AgentRef | RoleRef) =>
      writer.startsWith("@") ? idOf(writer as AgentRef, ask) : (writer as RoleRef)
    const allowed = writers === undefined ? undefined : await Promise.all(writers.map(resolve))
    const targets = omitUndefined({ agent: target, channel, grant, writers: allowed, until })
    const statement = signModeration(
      { id: randomUUID(), action, aud: serverId, reason, ts, ...targets },
      keyPair,
    )
    const { state, done } = await ask({ type: "MODERATE", statement })
    const named = [target, channel, grant].flatMap((name) =>
      name === undefined ? [] : formatForTerminal(name),
    )
    const end = until === undefined ? "" : ` until ${new Date(until).toISOString()}`
    // The lines of a daemon's acks.jsonl are all "accepted".
    const isDone = typeof done === "boolean" ? done : state === "done"
    const text = isDone
      ? `${reports[action]} ${named.join(" of ")}${end}`
      : "noted: a second operator has to give the same command within 10 minutes"
    return reportSuccess(context, { statement, done: isDone }, text)
  })
}

/** Connects as the operator: the identity of `--identity`, or that of this directory's daemon. */
export async function asOperator<T>(
  context: Context,
  choice: RequestOptions,
  use: (operator: Operator) => T | Promise<T>,
): Promise<T> {
  const timeoutMs = choice.options.timeout ?? answerMs
  const paths = chooseDaemon(context, choice)
  if (paths === undefined) {
    return withSession(context, choice, (connection, identity) => {
      if (identity === undefined) {
        throw new ChatError("IDENTITY_REQUIRED", "only an operator of the relay may do this", {
          hint: "give the operator's key: --identity operator.json",
        })
      }
      const ask = (frame: RequestFrame) => connection.request(frame, timeoutMs)
      const [server = defaultServer] = knownServers(context, choice.url)
      return use({ ask, keyPair: identity.keyPair, serverId: connection.welcome.server_id, server })
    })
  }
  const { server = "", server_id: serverId = null } = readStatus(paths.status) ?? {}
  if (serverId === null) {
    throw new ChatError("UNREACHABLE", `daemon ${paths.name} has not reached a relay yet`)
  }
  const { keyPair } = readIdentity(ownIdentityFile(context, { identity: undefined, name: paths.name }))
  return use({ ask: (frame) => askDaemon(context, paths, frame, timeoutMs), keyPair, serverId, server })
}

async function idOf(agent: AgentRef, ask: Operator["ask"]): Promise<AgentId> {
  const { roster } = await ask({ type: "LIST_AGENTS", agent })
  const [entry] = (roster ?? []) as readonly RosterEntry[]
  return (entry?.id ?? agent.toLowerCase()) as AgentId
}
