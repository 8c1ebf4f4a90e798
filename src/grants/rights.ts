/** Says which right each message needs. */
import type { ClientMessage, ClientType } from "../protocol/client-messages.js"
import type { Address, Channel } from "../protocol/names.js"
import type { Act } from "./decide.js"

type RoleOf = (task: string) => string | undefined
type Needs<T extends ClientType> = (message: ClientMessage<T>, roleOf: RoleOf) => readonly Act[]

const direct = () => [{ kind: "direct" }] as const
const addressed = ({ to }: { readonly to: Address }): readonly Act[] =>
  to.startsWith("#") ? [{ kind: "write", channel: to as Channel }] : direct()
const onTask = ({ task }: { readonly task: string }, roleOf: RoleOf): readonly Act[] => serving(roleOf(task))

/**
 * The rights of each message; null if every agent may send it, because it changes nothing for others, or its handler
 * asks: hidden things are left out or do not exist for the agent, and operators prove themselves.
 */
const needs: { readonly [T in ClientType]: Needs<T> | null } = {
  IDENTIFY: null,
  VERIFY_IDENTITY: null,
  KEY_STATEMENT: null,
  JOIN: null,
  LEAVE: null,
  MSG: addressed,
  FORECAST: addressed,
  LIST_GUARDS: null,
  RESET_GUARD: null,
  MODERATE: null,
  LIST_AUDIT: null,
  LIST_MESSAGES: null,
  LIST_GRANTS: null,
  LIST_CHANNELS: null,
  LIST_AGENTS: null,
  // Its creator is a member, and reads what others write there.
  CREATE_CHANNEL: ({ channel }) => [
    { kind: "write", channel },
    { kind: "read", channel },
  ],
  SET_CHANNEL: ({ channel }) => (channel === "*" ? [] : [{ kind: "write", channel }]),
  REMOVE_CHANNEL: null,
  INVITE: ({ channel }) => [{ kind: "write", channel }],
  SET_PRESENCE: ({ role }) => serving(role),
  SET_ATTENTION: null,
  SET_WAKE_LEASE: null,
  RECEIVED: null,
  PENDING: ({ target }) => (target === undefined ? [] : direct()),
  CLAIM_PATHS: () => [{ kind: "claim-files" }],
  RELEASE_PATHS: null,
  LIST_CLAIMS: null,
  LIST_TASKS: null,
  CLAIM: onTask,
  EXTEND: onTask,
  DONE: onTask,
  FAIL: null,
  PROPOSAL: direct,
  ACCEPT: direct,
  REJECT: direct,
  COMPLETE: direct,
  DISPUTE: direct,
  LIST_PROPOSALS: null,
  PING: null,
}

/** Returns the rights that a message needs, all of them. @param roleOf - returns the role of a task */
export function actsOf<T extends ClientType>(message: ClientMessage<T>, roleOf: RoleOf): readonly Act[] {
  const row: Needs<T> | null = needs[message.type]
  return row?.(message, roleOf) ?? []
}

function serving(role: string | undefined): readonly Act[] {
  return role === undefined ? [] : [{ kind: "serve", role }]
}
