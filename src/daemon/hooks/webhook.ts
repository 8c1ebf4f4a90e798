import { createHmac, randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import type { Clock } from "../../base/clock.js"
import { formatJsonLine } from "../../base/visible-text.js"
import { createSecretFile, readSecretFile } from "../../identity/secret-file.js"
import { ChatError } from "../../protocol/errors.js"
import { AppendLog } from "../files/append-log.js"
import type { InboxEntry } from "../inbox/reader.js"
import type { Handled } from "./inbox-consumer.js"

/** Milliseconds that a receiver may take to answer. */
const answerMs = 10_000
/** Age of a line, in milliseconds, at which it is no longer tried. */
export const maxAgeMs = 24 * 3_600_000
const secretBytes = 32

/** A line that could not be delivered, as webhook.dead.jsonl has it. */
export interface DeadLetter {
  readonly seq: number
  readonly error: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  /** The line of the inbox. */
  readonly line: string
}

/** @throws {ChatError} USAGE if it is no address that a webhook may have */
export function checkWebhookUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !["http:", "https:"].includes(url.protocol))
    throw new ChatError("USAGE", "--webhook: must be an http:// or https:// URL")
  if (url.username !== "" || url.password !== "")
    throw new ChatError("USAGE", "--webhook: other users can see a password on a command line", {
      hint: "the receiver can check the signature instead: see doc/hooks.md",
    })
  return url.href
}

/** Returns the secret in a file that only its owner can read; makes one if there is none. @throws {ChatError} BAD_IDENTITY */
export function webhookSecret(path: string): string {
  if (!existsSync(path)) createSecretFile(path, `${randomBytes(secretBytes).toString("base64url")}\n`)
  const secret = readSecretFile(path).text.trim()
  if (secret.length >= 16) return secret
  throw new ChatError("BAD_IDENTITY", `${path}: must hold 16 or more characters`, {
    hint: "delete the file; the daemon makes a new secret",
  })
}

/** Returns the value of the header `X-Agentchat-Signature`. @param timestamp - seconds since the Unix epoch */
export function signBody(secret: string, timestamp: number, body: string): string {
  return `v1=${createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")}`
}

/** Where to, and signed by what. */
export interface Webhook {
  readonly url: string
  readonly secret: string
  readonly clock: Pick<Clock, "now">
}

/** Sends one line. @returns why it was not taken; undefined if it was */
export async function postLine(
  { url, secret, clock }: Webhook,
  { seq, text }: Pick<InboxEntry, "seq" | "text">,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const timestamp = Math.floor(clock.now() / 1_000)
  const late = AbortSignal.timeout(answerMs)
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "User-Agent": "agentchat",
        "X-Agentchat-Delivery": String(seq),
        "X-Agentchat-Timestamp": String(timestamp),
        "X-Agentchat-Signature": signBody(secret, timestamp, text),
      },
      body: text,
      // Another address could be one that only this machine reaches.
      redirect: "manual",
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    })
    await response.body?.cancel()
    return response.ok ? undefined : `status ${response.status}`
  } catch (error) {
    const { name, cause } = error as Error & { readonly cause?: { readonly code?: string } }
    return cause?.code ?? name
  }
}

/**
 * Returns the handler of `--webhook`: it tries a line until it is a day old, and then keeps it in a file.
 * @param dead - path of webhook.dead.jsonl
 */
export function webhookHandler(
  webhook: Webhook,
  dead: string,
  log: (line: string) => void,
): (entry: InboxEntry, failures: number, signal: AbortSignal) => Promise<Handled> {
  return async (entry, failures, signal) => {
    const problem = await postLine(webhook, entry, signal)
    if (problem === undefined || signal.aborted) return "done"
    const { seq, text, fields } = entry
    const now = webhook.clock.now()
    const { ts } = fields
    const isOld = typeof ts === "number" && now - ts >= maxAgeMs
    if (failures === 0 || isOld)
      log(`webhook: line ${seq}: ${problem}${isOld ? "; kept as a dead letter" : ""}`)
    if (!isOld) return "retry"
    appendDead(dead, { seq, error: problem, ts: now, line: text })
    return "done"
  }
}

/** Keeps a line that could not be delivered. @throws the system error */
export function appendDead(path: string, letter: DeadLetter): void {
  new AppendLog(path).append(`${formatJsonLine(letter)}\n`)
}
