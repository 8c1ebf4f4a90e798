/** The JSON that the server sends to the page. Times are milliseconds since the Unix epoch. */
import type { GuardUsage } from "../protocol/guard-facts.js"
import type { DealState, TaskEntry } from "../protocol/server-messages.js"
import type { Verb } from "../protocol/verbs.js"

/** State of an agent as the page shows it; `stale` says `working` and does nothing. */
export type AgentState = "working" | "waiting" | "idle" | "away" | "stale" | "offline"

/** The connection to the relay. Without one, the rest of the state is the last that was known. */
export interface RelayRow {
  readonly url: string
  readonly name: string
  readonly isOnline: boolean
  /** When that began. */
  readonly sinceTs: number
  readonly problem?: string
}

/** The person at the page. */
export interface MeRow {
  readonly id: string
  readonly name: string
  readonly isOperator: boolean
  /** False if its grants let it read only. */
  readonly canWrite: boolean
  /** False without a key: it can neither sign nor take tasks. */
  readonly hasKey: boolean
}

/** An agent. */
export interface AgentRow {
  readonly id: string
  readonly name: string
  readonly state: AgentState
  readonly activity?: string
  readonly role?: string
  readonly description?: string
  readonly sinceTs?: number
  readonly seenTs?: number
  readonly readTs?: number
  readonly answeredTs?: number
  readonly attention?: string
  /** The proof that it could be woken, checked with its key. */
  readonly wake?: WakeRow
  /** When its last proof ended, if it had one and has none now. */
  readonly wakeLostTs?: number
  /** Messages in its mailbox, and the time of the oldest. */
  readonly unread?: number
  readonly oldestTs?: number
  /** Messages that address it, sent after its own last one. */
  readonly unanswered: number
  /** Tokens that it wrote within the last hour: a quarter of the bytes. */
  readonly tokens: number
  readonly claims: number
}

interface WakeRow {
  readonly method: string
  readonly provenTs: number
  readonly expiresTs: number
  readonly latencyMs: number
}

/** A channel or the thread with one agent; `key` is its address. */
export interface ConversationRow {
  readonly key: string
  readonly title: string
  readonly description?: string
  readonly agents?: number
  readonly isPrivate: boolean
  readonly count: number
  /** Messages of others after the person's position. */
  readonly unread: number
  /** Of these, messages that mention the person, or are for it alone. */
  readonly mentions: number
  readonly readTs: number
  readonly lastTs: number
  readonly isOpen: boolean
}

/** A stage that a message has reached, and by whose report. */
export interface StageRow {
  readonly state: string
  readonly by: string
  readonly ts: number
  readonly method?: string
  readonly reason?: string
}

/** A message. */
export interface MessageRow {
  readonly id: string
  readonly conversation: string
  readonly from: string
  readonly name: string
  readonly text: string
  readonly ts: number
  readonly seq?: number
  readonly kind?: string
  /** The message that it answers. */
  readonly re?: string
  readonly mentions: readonly string[]
  /** Number of parts besides the text. */
  readonly parts: number
  readonly isMine: boolean
  readonly isForMe: boolean
  readonly stages: readonly StageRow[]
  /** True if the key of its author signed it. */
  readonly verified: boolean
}

/** A task that is not finished. `leaseUntilTs`: when its worker loses it. */
export type TaskRow = Omit<TaskEntry, "lease_ms"> & { readonly leaseUntilTs?: number }

/** A signed statement of a deal. */
export interface StatementRow {
  readonly id: string
  readonly type: Verb
  readonly from: string
  readonly name: string
  readonly ts: number
  readonly text: string
}

/** A deal. `actions`: what the person may state now. */
export interface DealRow {
  readonly id: string
  readonly state: DealState
  readonly task: string
  readonly price?: string
  readonly terms?: string
  readonly expiresTs: number
  readonly lastTs: number
  readonly parties: readonly { readonly id: string; readonly name: string }[]
  readonly statements: readonly StatementRow[]
  readonly actions: readonly Exclude<Verb, "PROPOSAL">[]
}

/** The verdict on one statement of a deal. */
export interface Verdict {
  readonly id: string
  readonly type: string
  readonly from: string
  readonly ts: number
  readonly ok: boolean
  readonly problem?: string
}

/** How much of a limit of a guard is used. */
export type GuardRow = GuardUsage & { readonly freeTs?: number }

/** A claim of files. */
export interface ClaimRow {
  readonly owner: string
  readonly name: string
  readonly repo: string
  readonly paths: readonly string[]
  readonly note?: string
  readonly expiresTs: number
}

/** Messages of one agent to another, or to a channel, that the page has seen. */
export interface EdgeRow {
  readonly from: string
  readonly to: string
  readonly messages: number
  readonly tokens: number
}

/** The rating of an agent over time: after each deal. */
export interface RatingRow {
  readonly id: string
  readonly name: string
  readonly rating: number
  readonly deals: number
  readonly points: readonly { readonly ts: number; readonly rating: number }[]
}

/** An entry of the lane of what waits for a person. `facts` fill the text of its kind in the files of words. */
export interface Need {
  /** Stays the same while it lasts. */
  readonly id: string
  readonly kind:
    | "waiting"
    | "task"
    | "asked"
    | "direct"
    | "proposal"
    | "dispute"
    | "guard"
    | "claims"
    | "mailbox"
    | "wake"
  readonly sinceTs: number
  readonly facts: Readonly<Record<string, string | number>>
  readonly text?: string
  readonly agent?: string
  readonly conversation?: string
  readonly message?: string
  readonly task?: string
  readonly deal?: string
  readonly scope?: string
  /** When a task expires, and the answer that it then gets. */
  readonly expiresTs?: number
  readonly fallback?: string
}

/** Everything but the messages, which the page asks for by conversation. */
export interface PageState {
  readonly relay: RelayRow
  readonly me: MeRow
  readonly agents: readonly AgentRow[]
  readonly conversations: readonly ConversationRow[]
  readonly needs: readonly Need[]
  readonly tasks: readonly TaskRow[]
  readonly deals: readonly DealRow[]
  readonly guards: readonly GuardRow[]
  readonly claims: readonly ClaimRow[]
  readonly traffic: readonly EdgeRow[]
  readonly ratings: readonly RatingRow[]
}

/** Changes since the last event: rows by id for agents and conversations, the whole of anything else. */
export type Change = Partial<PageState> & {
  readonly now: number
  readonly goneAgents?: readonly string[]
  readonly goneConversations?: readonly string[]
  /** New messages, and earlier ones that have reached another stage. */
  readonly messages?: readonly MessageRow[]
  /** True if there were too many to send: the page asks for what it shows. */
  readonly manyMessages?: boolean
}
