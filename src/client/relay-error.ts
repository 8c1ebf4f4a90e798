import { omitUndefined } from "../base/plain.js"
import { formatForTerminal } from "../base/visible-text.js"
import { ChatError, type ErrorCode, isErrorCode } from "../protocol/errors.js"
import { daemonLayer, type GuardFacts } from "../protocol/guard-facts.js"
import { closeCodes } from "../protocol/limits.js"
import type { ServerMessage } from "../protocol/server-messages.js"

/** Longest text of a relay that is quoted, in characters. */
const maxText = 300
const maxCandidates = 20
const maxCandidateText = 70
const maxEvidence = 10
const maxIdText = 130

/** The code of RFC 6455 for an end without a close frame. */
const lostCode = 1006

const codeOfClose: Readonly<Record<number, ErrorCode>> = {
  1001: "SHUTTING_DOWN",
  [closeCodes.displaced]: "SESSION_DISPLACED",
  [closeCodes.slowReader]: "SLOW_READER",
  [closeCodes.handshakeTimeout]: "HANDSHAKE_TIMEOUT",
}

/** Reports whether a relay that sends this error then closes the connection with the same code. */
export function endsSession(error: ChatError): boolean {
  return Object.values(codeOfClose).includes(error.code)
}

/** Converts ERROR to an error. A code unknown to this version becomes UNSUPPORTED and is kept in the message. */
export function errorOfMessage(message: ServerMessage<"ERROR">): ChatError {
  const { code, retry_after_ms: retryAfterMs, candidates, hint, guard } = message
  const isKnown = isErrorCode(code)
  const text = quoteRelay(isKnown ? message.message : `${code}: ${message.message}`)
  const details = {
    retryAfterMs,
    candidates: candidates && quoteCandidates(candidates),
    hint: hint === undefined ? undefined : quoteRelay(hint),
    guard: guard && quoteGuard(guard),
  }
  return new ChatError(isKnown ? code : "UNSUPPORTED", text, omitUndefined(details))
}

/** Shortens and escapes the guard facts of a relay; they cannot claim to be those of the daemon's own guard. */
export function quoteGuard({ layer, scope, lifted_by, evidence }: GuardFacts): GuardFacts {
  return {
    layer: layer === daemonLayer ? "?" : formatForTerminal(layer.slice(0, maxCandidateText)),
    scope: quoteRelay(scope),
    lifted_by,
    evidence: evidence.slice(-maxEvidence).map((id) => formatForTerminal(id.slice(0, maxIdText))),
  }
}

/** Converts a WebSocket close to an error. @param code - of RFC 6455 §7.4, or one of {@link closeCodes} */
export function errorOfClose(server: string, code: number, reason: string): ChatError {
  const implied = code === lostCode ? "connection lost" : `closed the connection (${code})`
  const problem = reason === "" ? implied : quoteRelay(reason)
  return new ChatError(codeOfClose[code] ?? "UNREACHABLE", `${server}: ${problem}`)
}

/** Converts a network error to an error of this library. */
export function errorOfNetwork(server: string, error: Error): ChatError {
  const { code } = error as NodeJS.ErrnoException
  const what = code === "ECONNREFUSED" ? "nothing listens there (ECONNREFUSED)" : quoteRelay(error.message)
  const named = code === undefined || what.includes(code) ? what : `${what} (${code})`
  return new ChatError("UNREACHABLE", `${server}: ${named === "" ? "connection failed" : named}`, {
    cause: error,
  })
}

function quoteRelay(text: string): string {
  return formatForTerminal(text.length > maxText ? `${text.slice(0, maxText - 1)}…` : text)
}

function quoteCandidates(candidates: readonly string[]): string[] {
  return candidates
    .slice(0, maxCandidates)
    .map((candidate) => formatForTerminal(candidate.slice(0, maxCandidateText)))
}
