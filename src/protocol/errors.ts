import type { GuardFacts } from "./guard-facts.js"

/**
 * Every error code: on the wire (`ERROR.code`), in files, in the library and as an exit status.
 * `exit` is the exit status of a command, `retry` whether the same request may succeed later, `wire` whether a relay
 * sends the code.
 */
export const errorSpecs = {
  AUTH_REQUIRED: { exit: 5, retry: false, wire: true, summary: "send IDENTIFY first" },
  ALREADY_IDENTIFIED: {
    exit: 1,
    retry: false,
    wire: true,
    summary: "this session has already identified itself",
  },
  INVALID_MSG: {
    exit: 2,
    retry: false,
    wire: true,
    summary: "the frame is not a valid message; the message names the field",
  },
  INVALID_NAME: {
    exit: 2,
    retry: false,
    wire: true,
    summary: "a name or channel does not have the allowed form",
  },
  VERIFICATION_FAILED: {
    exit: 5,
    retry: false,
    wire: true,
    summary: "a signature is not valid for what it should prove",
  },
  IDENTITY_REQUIRED: { exit: 5, retry: false, wire: true, summary: "only a persistent identity may do this" },
  CHANNEL_NOT_FOUND: {
    exit: 3,
    retry: false,
    wire: true,
    summary: "no such channel, or it is not visible to you",
  },
  CHANNEL_EXISTS: { exit: 1, retry: false, wire: true, summary: "a channel of that name exists" },
  NOT_IN_CHANNEL: { exit: 1, retry: false, wire: true, summary: "join the channel first" },
  AGENT_NOT_FOUND: {
    exit: 3,
    retry: false,
    wire: true,
    summary: "no such agent is known, or it is offline and ephemeral",
  },
  AMBIGUOUS_NAME: { exit: 3, retry: false, wire: true, summary: "several agents have that name; use an id" },
  RATE_LIMITED: { exit: 6, retry: true, wire: true, summary: "too fast; wait for retry_after_ms" },
  MAILBOX_FULL: { exit: 1, retry: true, wire: true, summary: "the mailbox of the recipient is full" },
  LIMIT_REACHED: {
    exit: 1,
    retry: true,
    wire: true,
    summary: "a limit of the relay is reached; the message names it",
  },
  TASK_NOT_FOUND: { exit: 3, retry: false, wire: true, summary: "no such task is waiting, or it is done" },
  LEASE_LOST: { exit: 1, retry: false, wire: true, summary: "the task is not yours, or no longer yours" },
  PROPOSAL_NOT_FOUND: {
    exit: 3,
    retry: false,
    wire: true,
    summary: "no such proposal, or you are not a party",
  },
  PROPOSAL_STATE: {
    exit: 1,
    retry: false,
    wire: true,
    summary: "the statement is not allowed in the state of the deal; the message names the state",
  },
  PROPOSAL_EXPIRED: { exit: 1, retry: false, wire: true, summary: "the proposal has expired" },
  NOT_A_PARTY: { exit: 5, retry: false, wire: true, summary: "only the other party may make this statement" },
  STATEMENT_STALE: {
    exit: 1,
    retry: true,
    wire: true,
    summary: "the other party made a statement first; sign an answer to that one",
  },
  GUARDED: {
    exit: 7,
    retry: false,
    wire: true,
    summary: "a guard stopped it; `guard` has the rule, the scope, the evidence and who may lift it",
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
    summary: "the relay cannot reach its store; nothing was stored",
  },
  UNSUPPORTED: { exit: 1, retry: false, wire: true, summary: "this relay does not support the request" },
  HANDSHAKE_TIMEOUT: {
    exit: 8,
    retry: true,
    wire: true,
    summary: "the session did not identify itself in time",
  },
  SLOW_READER: { exit: 8, retry: true, wire: true, summary: "the session did not read and was closed" },
  SESSION_DISPLACED: { exit: 10, retry: false, wire: true, summary: "the same identity connected elsewhere" },
  SHUTTING_DOWN: { exit: 8, retry: true, wire: true, summary: "the relay is stopping" },
  UNREACHABLE: { exit: 8, retry: true, wire: false, summary: "no relay answers at the address" },
  TIMEOUT: { exit: 4, retry: true, wire: false, summary: "no answer in time" },
  USAGE: { exit: 2, retry: false, wire: false, summary: "the command line is not valid" },
  NOT_FOUND: { exit: 3, retry: false, wire: false, summary: "a named file, daemon or entry does not exist" },
  ALREADY_RUNNING: {
    exit: 10,
    retry: false,
    wire: false,
    summary: "a daemon of that name is running, or the port is in use",
  },
  IDENTITY_EXISTS: { exit: 5, retry: false, wire: false, summary: "an identity file is never overwritten" },
  BAD_IDENTITY: { exit: 5, retry: false, wire: false, summary: "the identity file cannot be used" },
  STORE_DAMAGED: {
    exit: 1,
    retry: false,
    wire: false,
    summary: "the relay's store is damaged",
  },
  FILE_FAILED: {
    exit: 1,
    retry: true,
    wire: false,
    summary: "the file system returned an error (full, read-only, …)",
  },
} as const satisfies Record<string, { exit: number; retry: boolean; wire: boolean; summary: string }>

/** A code of {@link errorSpecs}. */
export type ErrorCode = keyof typeof errorSpecs

/** Details of an error besides its message. */
export interface ErrorDetails extends ErrorOptions {
  /** Milliseconds until the same request may be retried. */
  readonly retryAfterMs?: number
  /** Names or ids the caller may have meant. */
  readonly candidates?: readonly string[]
  /** One sentence on how to fix it. */
  readonly hint?: string
  /** Why the guard stopped it; of GUARDED. */
  readonly guard?: GuardFacts
}

/** The only error class that crosses module boundaries. Any other error that reaches the top is a bug. */
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

/** Reports whether `text` is an error code. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorSpecs, text)
}
