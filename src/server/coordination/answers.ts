import type { ServerResponse } from "node:http"
import { stringify } from "yaml"
import { type Format, mediaTypes } from "../../coordination/onboarding.js"
import { ChatError } from "../../protocol/errors.js"
import { StateRefused } from "./coordination-service.js"

/** An answer with a JSON body. */
export interface Answer {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export const commonHeaders = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" } as const

/** An error whose answer is known. */
export class Refusal extends Error {
  readonly answer: Answer

  constructor(answer: Answer) {
    super(JSON.stringify(answer.body))
    this.answer = answer
  }
}

export function ok(body: unknown): Answer {
  return { status: 200, body }
}

/** An error in one sentence. */
export function detail(status: number, text: string): Answer {
  return { status, body: { detail: text } }
}

/** The answer to a request whose field is invalid. @param place - such as `["body", "title"]` */
export function invalid(place: readonly (string | number)[], problem: string): Refusal {
  const type = problem === "is missing" ? "missing" : "value_error"
  return new Refusal({
    status: 422,
    body: { detail: [{ loc: place, msg: `${place.at(-1)}: ${problem}`, type }] },
  })
}

const statuses: Readonly<Record<string, number>> = {
  AUTH_REQUIRED: 401,
  VERIFICATION_FAILED: 401,
  FORBIDDEN: 403,
  GUARDED: 429,
  LIMIT_REACHED: 429,
  ID_USED: 409,
  UNAVAILABLE: 503,
}

/** Returns the answer for an error. @throws it if it is a bug */
export function answerFor(error: unknown): Answer {
  if (error instanceof Refusal) return error.answer
  if (error instanceof StateRefused) return refusedState(error)
  if (!(error instanceof ChatError)) throw error
  const { code, message, hint, retryAfterMs } = error
  const status = statuses[code] ?? 400
  return {
    status,
    body: { detail: message, code, ...(hint !== undefined && { hint }) },
    headers: {
      ...(status === 401 && { "WWW-Authenticate": 'Bearer realm="agentchat"' }),
      ...(retryAfterMs !== undefined && { "Retry-After": String(Math.ceil(retryAfterMs / 1_000)) }),
    },
  }
}

function refusedState({ violations, newest, message }: StateRefused): Answer {
  const status = violations.length > 0 ? 409 : 412
  return { status, body: { detail: message, violations, newest } }
}

/** Sends an answer. @param format - of an error; everything else is JSON */
export function send(
  response: ServerResponse,
  { status, body, headers }: Answer,
  format: Format = "json",
): void {
  if (response.headersSent) {
    response.end()
    return
  }
  response.writeHead(status, { ...commonHeaders, "Content-Type": mediaTypes[format], ...headers })
  response.end(response.req.method === "HEAD" ? undefined : formatBody(body, format))
}

function formatBody(body: unknown, format: Format): string {
  if (format === "yaml") return stringify(body)
  const json = JSON.stringify(body)
  return format === "markdown" ? `# Refused\n\n\`${json.replaceAll("`", "'")}\`\n` : `${json}\n`
}
