import type { GuardFacts } from "./guard-facts.js"

/** Error codes that a relay sends. `retry`: the same request may succeed later; `exit`: exit status of a command. */
const relayErrors = {
  AUTH_REQUIRED: { exit: 5, retry: false, summary: "send IDENTIFY first" },
  ALREADY_IDENTIFIED: { exit: 1, retry: false, summary: "this session has already identified itself" },
  INVALID_MSG: { exit: 2, retry: false, summary: "the frame is not a valid message" },
  INVALID_NAME: { exit: 2, retry: false, summary: "a name or channel does not have the allowed form" },
  VERIFICATION_FAILED: { exit: 5, retry: false, summary: "a signature is not valid for its purpose" },
  KEY_ENDED: { exit: 5, retry: false, summary: "the key was revoked or replaced; `key_end` is the proof" },
  IDENTITY_REQUIRED: { exit: 5, retry: false, summary: "only a persistent identity may do this" },
  ID_USED: { exit: 2, retry: false, summary: "the id is that of another message" },
  CHANNEL_NOT_FOUND: { exit: 3, retry: false, summary: "no such channel, or it is not visible to you" },
  CHANNEL_EXISTS: { exit: 1, retry: false, summary: "a channel of that name exists" },
  NOT_IN_CHANNEL: { exit: 1, retry: false, summary: "join the channel first" },
  AGENT_NOT_FOUND: { exit: 3, retry: false, summary: "no such agent is known or online" },
  AMBIGUOUS_NAME: { exit: 3, retry: false, summary: "several agents have that name; use an id" },
  RATE_LIMITED: { exit: 6, retry: true, summary: "too fast; wait for retry_after_ms" },
  MAILBOX_FULL: { exit: 1, retry: true, summary: "the mailbox of the recipient is full" },
  LIMIT_REACHED: { exit: 1, retry: true, summary: "a limit of the relay is reached" },
  CLAIMED: { exit: 1, retry: false, summary: "another agent has claimed one of the paths" },
  TASK_NOT_FOUND: { exit: 3, retry: false, summary: "no such task is waiting, or it is done" },
  LEASE_LOST: { exit: 1, retry: false, summary: "the task is not yours, or no longer yours" },
  PROPOSAL_NOT_FOUND: { exit: 3, retry: false, summary: "no such proposal, or you are not a party" },
  PROPOSAL_STATE: { exit: 1, retry: false, summary: "the state of the deal does not allow the statement" },
  PROPOSAL_EXPIRED: { exit: 1, retry: false, summary: "the proposal has expired" },
  NOT_A_PARTY: { exit: 5, retry: false, summary: "only the other party may make this statement" },
  STATEMENT_STALE: { exit: 1, retry: true, summary: "the other party made a statement first; answer it" },
  GUARDED: { exit: 7, retry: false, summary: "a guard stopped it; `guard` says which and why" },
  FORBIDDEN: { exit: 5, retry: false, summary: "an operator of the relay has forbidden it" },
  OPERATOR_REQUIRED: { exit: 5, retry: false, summary: "only an operator of the relay may do this" },
  UNAVAILABLE: { exit: 8, retry: true, summary: "the store cannot be reached; nothing was stored" },
  UNSUPPORTED: { exit: 1, retry: false, summary: "this relay does not support the request" },
  HANDSHAKE_TIMEOUT: { exit: 8, retry: true, summary: "the session did not identify itself in time" },
  SLOW_READER: { exit: 8, retry: true, summary: "the session did not read and was closed" },
  SESSION_DISPLACED: { exit: 10, retry: false, summary: "the same identity connected elsewhere" },
  INTERNAL: { exit: 1, retry: false, summary: "a fault of the relay; the request may be done in part" },
  SHUTTING_DOWN: { exit: 8, retry: true, summary: "the relay is stopping" },
} as const satisfies Record<string, ErrorRow>

/** Error codes that only occur locally: in the library, the daemon and the command line. */
const localErrors = {
  UNREACHABLE: { exit: 8, retry: true, summary: "no relay answers at the address" },
  TIMEOUT: { exit: 4, retry: true, summary: "no answer in time" },
  EXPIRED: { exit: 9, retry: false, summary: "a question expired before somebody answered it" },
  UNSERVED: { exit: 11, retry: true, summary: "no answer in time, and no person who could answer is online" },
  NOT_WAKEABLE: { exit: 4, retry: true, summary: "the agent is not proven to wake, as was required" },
  CANCELLED: { exit: 1, retry: false, summary: "a person was asked, and did not confirm it" },
  USAGE: { exit: 2, retry: false, summary: "the command line is not valid" },
  NOT_FOUND: { exit: 3, retry: false, summary: "a named file, daemon or entry does not exist" },
  ALREADY_RUNNING: { exit: 10, retry: false, summary: "a daemon of that name runs, or a port is in use" },
  IDENTITY_EXISTS: { exit: 5, retry: false, summary: "an identity file is never overwritten" },
  BAD_IDENTITY: { exit: 5, retry: false, summary: "the identity file cannot be used" },
  STORE_DAMAGED: { exit: 1, retry: false, summary: "the relay's store is damaged" },
  FILE_FAILED: { exit: 1, retry: true, summary: "the file system returned an error (full, read-only, …)" },
} as const satisfies Record<string, ErrorRow>

interface ErrorRow {
  readonly exit: number
  readonly retry: boolean
  readonly summary: string
}

/** A code of {@link errorSpecs}. */
export type ErrorCode = keyof typeof relayErrors | keyof typeof localErrors

/**
 * Every error code: on the wire (`ERROR.code`), in files, in the library and as an exit status. `wire` is true for the codes
 * that a relay sends.
 */
export const errorSpecs = Object.fromEntries([
  ...Object.entries(relayErrors).map(([code, row]) => [code, { ...row, wire: true }]),
  ...Object.entries(localErrors).map(([code, row]) => [code, { ...row, wire: false }]),
]) as Readonly<Record<ErrorCode, ErrorRow & { readonly wire: boolean }>>

/** Details of an error besides its message. */
export interface ErrorDetails extends ErrorOptions {
  /** Milliseconds until the same request may be retried. */
  readonly retryAfterMs?: number
  /** Names or ids the caller may have meant; a function searches them when somebody reads them. */
  readonly candidates?: readonly string[] | (() => readonly string[])
  /** One sentence on how to fix it. */
  readonly hint?: string
  /** Why a guard stopped the request; only with GUARDED. */
  readonly guard?: GuardFacts
}

/** The only error class that crosses module boundaries. Any other error that reaches the top is a bug. */
export class ChatError extends Error {
  override readonly name = "ChatError"
  readonly code: ErrorCode
  readonly retryAfterMs: number | undefined
  readonly hint: string | undefined
  readonly guard: GuardFacts | undefined
  #candidates: ErrorDetails["candidates"]

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details)
    this.code = code
    this.retryAfterMs = details.retryAfterMs
    this.#candidates = details.candidates
    this.hint = details.hint
    this.guard = details.guard
  }

  /** {@link ErrorDetails} candidates */
  get candidates(): readonly string[] | undefined {
    if (typeof this.#candidates === "function") this.#candidates = this.#candidates()
    return this.#candidates
  }

  /** Exit status of a command that ends with this error. */
  get exit(): number {
    return errorSpecs[this.code].exit
  }
}

/** Reports whether `text` is an error code. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorSpecs, text)
}
