import { createHash } from "node:crypto"
import { parsePlainJson } from "../base/strict-json.js"
import { ChatError } from "../protocol/errors.js"
import { Fault, number, object, text } from "../protocol/schema.js"
import { formatBase64Url, parseBase64Url } from "./base64.js"
import { signDetached, verifyDetached } from "./detached-jws.js"
import type { PublicKey } from "./keys.js"
import type { KeyPair } from "./signer.js"

const requestType = "agentchat.http+jws"
/** Milliseconds that the time of a request may differ from the relay's. */
const maxSkewMs = 60_000
const scheme = /^agentchat\s+(\S+)$/i

/** The request that a signature is about. */
export interface SignedRequest {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly body: string
  /** `server_id` of the relay. */
  readonly aud: string
}

const token = object({ ts: number(0), sig: text(1024) })

/** Signs a request. @param ts - milliseconds since the Unix epoch @returns the value of its Authorization header */
export function signRequest(request: SignedRequest, ts: number, keyPair: KeyPair): string {
  const sig = signDetached(statementOf(request, ts), keyPair, requestType)
  return `AgentChat ${formatBase64Url(Buffer.from(JSON.stringify({ ts, sig })))}`
}

/** Reports whether an Authorization header is one of {@link signRequest}. */
export function isSignature(header: string): boolean {
  return scheme.test(header)
}

/** Returns the key that signed a request, and its signature. @throws {ChatError} VERIFICATION_FAILED */
export function verifyRequest(
  header: string,
  request: SignedRequest,
  now: number,
): { readonly key: PublicKey; readonly sig: string } {
  const bytes = parseBase64Url(scheme.exec(header)?.[1] ?? "")
  const read = bytes === undefined ? undefined : readToken(Buffer.from(bytes).toString("utf8"))
  if (read === undefined) throw new ChatError("VERIFICATION_FAILED", "Authorization: is malformed")
  const { ts, sig } = read
  if (Math.abs(ts - now) > maxSkewMs) {
    throw new ChatError("VERIFICATION_FAILED", "Authorization: its time differs by more than a minute", {
      hint: "check the clocks of both machines",
    })
  }
  return { key: verifyDetached(sig, statementOf(request, ts), requestType), sig }
}

function readToken(json: string) {
  try {
    const read = token.read(parsePlainJson(json))
    return read instanceof Fault ? undefined : read
  } catch {
    return undefined
  }
}

function statementOf({ method, path, body, aud }: SignedRequest, ts: number): object {
  return { aud, method, path, body_sha256: createHash("sha256").update(body).digest("base64url"), ts }
}
