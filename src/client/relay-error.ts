import { omitUndefined } from "../base/plain.js"
import { formatForTerminal } from "../base/visible-text.js"
import { ChatError, type ErrorCode, isErrorCode } from "../protocol/errors.js"
import { daemonLayer, type GuardFacts } from "../protocol/guard-facts.js"
import { closeCodes, defaultPort } from "../protocol/limits.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { splitSpacePath } from "../protocol/spaces.js"

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

const notRelay = "another server answers there, not a relay; check host, port and path"

/** Why a relay could not be reached, by the code of the error or by its text, and what to do. The first match counts. */
const networkHints: readonly (readonly [cause: RegExp, hint: string | ((server: string) => string)])[] = [
  [/^ECONNREFUSED/, hintForRefused],
  [/^(ENOTFOUND|EAI_\w+)/, "check the name of the host"],
  [
    /^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|EADDRNOTAVAIL)/,
    "check the address, the network and firewalls",
  ],
  [/^(CERT_HAS_EXPIRED|CRL_HAS_EXPIRED)/, "the relay needs a new certificate"],
  [/^CERT_NOT_YET_VALID/, "check the clocks of both machines"],
  [
    /^ERR_PINNED_KEY/,
    "another server answers, or the relay has a new key: ask its operator for a new link, or for the address with the new #sha256=",
  ],
  [/^ERR_TLS_CERT_ALTNAME_INVALID/, "use a host name that is in the relay's certificate"],
  [
    /^(\w*SELF_SIGNED_CERT\w*|UNABLE_TO_\w+|CERT_\w+)/,
    "if you trust the relay's certificate, put its key after the address, #sha256=… as agentchat serve prints it, or name its file: NODE_EXTRA_CA_CERTS=cert.pem; a running daemon must be started again with it",
  ],
  [
    /^(EPROTO|ERR_SSL_\w+|ERR_TLS_\w+)/,
    "the server does not speak TLS there; without a certificate the address begins with ws://",
  ],
  [/^ECONNRESET|socket hang up/, hintForReset],
  [/server response: 30\d/, "the server redirects; use the address that it redirects to"],
  [/server response: (401|403|407)/, "the server or a proxy refuses the connection; ask its operator"],
  [
    /server response: (408|429|50\d)/,
    "the server or a proxy is there, but the relay behind it does not answer; try again later",
  ],
  [/server response: 404/, hintForNotFound],
  [/server response: \d+|^HPE_|Parse Error/, notRelay],
]

function hintForRefused(server: string): string {
  const { protocol, hostname, port } = new URL(server)
  if (port === "")
    return `add the port; a relay listens on ${defaultPort} by default: ${protocol}//${hostname}:${defaultPort}`
  const isHere = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
  const option = port === String(defaultPort) ? "" : ` --port ${port}`
  if (isHere && protocol === "ws:") {
    const space = spaceIn(server)
    const start = space === undefined ? `up${option}` : `serve --space ${space}${option}`
    return `start a relay on this machine with: agentchat ${start}`
  }
  return "check host and port; a relay listens for other machines only with: agentchat serve --host 0.0.0.0"
}

function hintForNotFound(server: string): string {
  const space = spaceIn(server)
  if (space === undefined) return `${notRelay}; a relay with spaces is at ${server}/space/NAME`
  return `no space ${space} is there: check its name, or start the relay with: agentchat serve --space ${space}`
}

/** Returns the space of an address, see `formatServer`. */
function spaceIn(server: string): string | undefined {
  return splitSpacePath(new URL(server).pathname)?.name
}

function hintForReset(server: string): string {
  if (server.startsWith("wss:")) return "the server ended the connection; check host and port"
  return "the server ended the connection; with a certificate the address begins with wss://"
}

/** Returns what to do about a network error. @param server - see {@link formatServer} */
function hintForNetwork(server: string, code: string | undefined, text: string): string | undefined {
  const hint = networkHints.find(([cause]) => cause.test(code ?? "") || cause.test(text))?.[1]
  return typeof hint === "function" ? hint(server) : hint
}

/** Converts a network error to an error of this library. */
export function errorOfNetwork(server: string, error: Error): ChatError {
  const { code } = error as NodeJS.ErrnoException
  const what =
    code === "ECONNREFUSED" ? "nothing listens there (ECONNREFUSED)" : quoteRelay(error.message.trim())
  const named = code === undefined || what.includes(code) ? what : `${what} (${code})`
  return new ChatError("UNREACHABLE", `${server}: ${named === "" ? "connection failed" : named}`, {
    cause: error,
    ...omitUndefined({ hint: hintForNetwork(server, code, error.message) }),
  })
}

/** Shortens and escapes text of a relay. */
export function quoteRelay(text: string): string {
  return formatForTerminal(text.length > maxText ? `${text.slice(0, maxText - 1)}…` : text)
}

function quoteCandidates(candidates: readonly string[]): string[] {
  return candidates
    .slice(0, maxCandidates)
    .map((candidate) => formatForTerminal(candidate.slice(0, maxCandidateText)))
}
