import type { GuardFacts } from "./guard-facts.js"

/**
 * Every error there is: on the wire (`ERROR.code`), in files, in the library and as an exit status.
 * `exit` is the command line's status, `retry` says whether the same request may succeed later,
 * `wire` whether a relay sends it.
 */
export const errorSpecs = {
  AUTH_REQUIRED: { exit: 5, retry: false, wire: true, summary: "IDENTIFY must come first" },
  ALREADY_IDENTIFIED: { exit: 1, retry: false, wire: true, summary: "this session has identified itself" },
  INVALID_MSG: {
    exit: 2,
    retry: false,
    wire: true,
    summary: "the frame is not a valid message; names the field",
  },
  INVALID_NAME: {
    exit: 2,
    retry: false,
    wire: true,
    summary: "a name or channel is not of the allowed form",
  },
  VERIFICATION_FAILED: {
    exit: 5,
    retry: false,
    wire: true,
    summary: "a signature does not prove what it should",
  },
  IDENTITY_REQUIRED: { exit: 5, retry: false, wire: true, summary: "only a persistent identity may do this" },
  CHANNEL_NOT_FOUND: { exit: 3, retry: false, wire: true, summary: "no such channel, or not visible to you" },
  CHANNEL_EXISTS: { exit: 1, retry: false, wire: true, summary: "a channel of that name exists" },
  NOT_IN_CHANNEL: { exit: 1, retry: false, wire: true, summary: "join the channel first" },
  AGENT_NOT_FOUND: { exit: 3, retry: false, wire: true, summary: "no such agent is known or online" },
  AMBIGUOUS_NAME: { exit: 3, retry: false, wire: true, summary: "several agents bear that name; use an id" },
  RATE_LIMITED: { exit: 6, retry: true, wire: true, summary: "too fast; wait retry_after_ms" },
  MAILBOX_FULL: { exit: 1, retry: true, wire: true, summary: "the recipient's waiting mail is at its bound" },
  LIMIT_REACHED: { exit: 1, retry: true, wire: true, summary: "a bound of the relay is reached; names it" },
  TASK_NOT_FOUND: { exit: 3, retry: false, wire: true, summary: "no such task waits, or it is done" },
  LEASE_LOST: { exit: 1, retry: false, wire: true, summary: "the task is not yours, or no longer" },
  PROPOSAL_NOT_FOUND: { exit: 3, retry: false, wire: true, summary: "no such proposal, or it is not yours" },
  PROPOSAL_STATE: {
    exit: 1,
    retry: false,
    wire: true,
    summary: "this step does not follow from the proposal's state; names the state",
  },
  PROPOSAL_EXPIRED: { exit: 1, retry: false, wire: true, summary: "the time to answer the proposal is over" },
  NOT_A_PARTY: { exit: 5, retry: false, wire: true, summary: "this step is the other party's to make" },
  STATEMENT_STALE: {
    exit: 1,
    retry: true,
    wire: true,
    summary: "the other party said something first; sign an answer to that",
  },
  GUARDED: {
    exit: 7,
    retry: false,
    wire: true,
    summary: "a guard stopped it: names the layer, the scope, what led to it and who may lift it",
  },
  OPERATOR_REQUIRED: {
    exit: 5,
    retry: false,
    wire: true,
    summary: "only an operator of the relay may do this",
  },
  UNAVAILABLE: {
    exit: 8,
    retry: true,
    wire: true,
    summary: "the relay cannot reach its store now; nothing was kept",
  },
  UNSUPPORTED: { exit: 1, retry: false, wire: true, summary: "this relay does not offer that" },
  HANDSHAKE_TIMEOUT: { exit: 8, retry: true, wire: true, summary: "no identity in time" },
  SLOW_READER: { exit: 8, retry: true, wire: true, summary: "the session did not read and was cut" },
  SESSION_DISPLACED: { exit: 10, retry: false, wire: true, summary: "the same identity connected elsewhere" },
  SHUTTING_DOWN: { exit: 8, retry: true, wire: true, summary: "the relay is stopping" },
  UNREACHABLE: { exit: 8, retry: true, wire: false, summary: "no relay answers there" },
  TIMEOUT: { exit: 4, retry: true, wire: false, summary: "nothing came in time" },
  USAGE: { exit: 2, retry: false, wire: false, summary: "the command line is not understood" },
  NOT_FOUND: { exit: 3, retry: false, wire: false, summary: "a named file, daemon or entry does not exist" },
  ALREADY_RUNNING: {
    exit: 10,
    retry: false,
    wire: false,
    summary: "a daemon of that name runs, or a port is held",
  },
  IDENTITY_EXISTS: { exit: 5, retry: false, wire: false, summary: "an identity file is never overwritten" },
  BAD_IDENTITY: { exit: 5, retry: false, wire: false, summary: "the identity file cannot be used" },
  STORE_DAMAGED: {
    exit: 1,
    retry: false,
    wire: false,
    summary: "the relay's store does not read back whole",
  },
  FILE_FAILED: { exit: 1, retry: true, wire: false, summary: "the file system refused (full, read-only, …)" },
} as const satisfies Record<string, { exit: number; retry: boolean; wire: boolean; summary: string }>

/** A code of {@link errorSpecs}. */
export type ErrorCode = keyof typeof errorSpecs

/** What an error may carry beside its message. */
export interface ErrorDetails extends ErrorOptions {
  /** Milliseconds after which the same request may be tried again. */
  readonly retryAfterMs?: number
  /** Names or ids the caller may have meant. */
  readonly candidates?: readonly string[]
  /** One sentence telling how to fix it. */
  readonly hint?: string
  /** Of GUARDED: what stopped it. */
  readonly guard?: GuardFacts
}

/** The only error that crosses a room's boundary. Anything else that reaches the top is a bug. */
export class ChatError extends Error {
  override readonly name = "ChatError"
  readonly code: ErrorCode
  readonly retryAfterMs: number | undefined
  readonly candidates: readonly string[] | undefined
  readonly hint: string | undefined
  readonly guard: GuardFacts | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details)
    this.code = code
    this.retryAfterMs = details.retryAfterMs
    this.candidates = details.candidates
    this.hint = details.hint
    this.guard = details.guard
  }

  /** Exit status of a command that ends with this error. */
  get exit(): number {
    return errorSpecs[this.code].exit
  }
}

/** Whether `text` is a code of the table; anything a stranger sends is not. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorSpecs, text)
}
