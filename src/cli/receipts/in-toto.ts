/** Converts receipts to in-toto Statements v1 in DSSE envelopes, which other tools read, and back. */
import { createHash } from "node:crypto"
import { parsePlainJson } from "../../base/strict-json.js"
import { formatBase64, parseBase64 } from "../../identity/base64.js"
import { canonicalize } from "../../identity/canonical-json.js"
import type { Identity } from "../../identity/identity-file.js"
import { parsePublicKey } from "../../identity/keys.js"
import { sign, verify } from "../../identity/signer.js"
import { formatReceipt, type Receipt, readReceipt } from "../../proposals/receipt.js"
import { ChatError } from "../../protocol/errors.js"

const payloadType = "application/vnd.in-toto+json"
const statementType = "https://in-toto.io/Statement/v1"
const predicateType = "urn:agentchat:receipt:v1"

export interface Envelope {
  readonly payloadType: typeof payloadType
  /** Base64 of the statement. */
  readonly payload: string
  readonly signatures: readonly [{ readonly keyid: string; readonly sig: string }]
}

/** Puts a receipt into a signed envelope. The subject is the line of receipts.jsonl without its newline. */
export function sealReceipt(receipt: Receipt, { did, keyPair }: Identity): Envelope {
  const statement = {
    _type: statementType,
    subject: [{ name: receipt.proposal.id, digest: { sha256: digestOf(receipt) } }],
    predicateType,
    predicate: receipt,
  }
  const payload = Buffer.from(canonicalize(statement))
  const sig = formatBase64(sign(signedBytes(payload), keyPair))
  return { payloadType, payload: formatBase64(payload), signatures: [{ keyid: did, sig }] }
}

/** Tests whether a value looks like a DSSE envelope. */
export function isEnvelope(value: object): boolean {
  return "payloadType" in value && "signatures" in value
}

/**
 * Takes a receipt out of an envelope. Verifies the signatures of the envelope, but none in the receipt.
 * @throws {ChatError} VERIFICATION_FAILED; INVALID_MSG
 */
export function openEnvelope(value: object): Receipt {
  const { payload, signatures, ...others } = value as Partial<Record<string, unknown>>
  const bytes = typeof payload === "string" ? parseBase64(payload) : undefined
  if (bytes === undefined || !Array.isArray(signatures) || signatures.length === 0) throw failed("structure")
  if (others["payloadType"] !== payloadType || Object.keys(others).length > 1) throw failed("payloadType")
  if (!signatures.every((signature) => isSigned(bytes, signature))) throw failed("signatures")
  const statement = readStatement(bytes)
  const receipt = readReceipt(statement["predicate"])
  const subject = [{ name: receipt.proposal.id, digest: { sha256: digestOf(receipt) } }]
  const expected = { _type: statementType, subject, predicateType, predicate: receipt }
  if (canonicalize(statement) !== canonicalize(expected)) throw failed("payload")
  return receipt
}

function readStatement(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let statement: unknown
  try {
    statement = parsePlainJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch {
    throw failed("payload")
  }
  if (typeof statement !== "object" || statement === null) throw failed("payload")
  return statement as Readonly<Record<string, unknown>>
}

function isSigned(payload: Uint8Array, signature: unknown): boolean {
  if (typeof signature !== "object" || signature === null) return false
  const { keyid, sig } = signature as Partial<Record<string, unknown>>
  const bytes = typeof sig === "string" ? parseBase64(sig) : undefined
  if (typeof keyid !== "string" || !keyid.startsWith("did:key:") || bytes === undefined) return false
  try {
    return verify(bytes, signedBytes(payload), parsePublicKey(keyid))
  } catch (error) {
    if (error instanceof ChatError) return false
    throw error
  }
}

/** Returns the bytes that DSSE signs: the type and the payload, each after its length. */
function signedBytes(payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `
  return Buffer.concat([Buffer.from(head), payload])
}

function digestOf(receipt: Receipt): string {
  return createHash("sha256").update(formatReceipt(receipt)).digest("hex")
}

function failed(part: string): ChatError {
  return new ChatError("VERIFICATION_FAILED", `envelope: ${part} is invalid`)
}
