import { createHash } from "node:crypto"
import { ChatError } from "../protocol/errors.js"
import { type AuditEntry, type Moderation, moderationActions } from "../protocol/moderation.js"
import { formatBase64Url } from "./base64.js"
import { canonicalize } from "./canonical-json.js"
import { signDetached, verifyDetached } from "./detached-jws.js"
import { formatDidKey } from "./keys.js"
import type { KeyPair } from "./signer.js"

const moderationType = "agentchat.moderation+jws"

/** Signs an action. */
export function signModeration(
  unsigned: Omit<Moderation, "v" | "type" | "from" | "sig">,
  keyPair: KeyPair,
): Moderation {
  const statement = { ...unsigned, v: 1, type: "MODERATION", from: formatDidKey(keyPair.publicKey) } as const
  return { ...statement, sig: signDetached(statement, keyPair, moderationType) }
}

/**
 * Checks that an action is signed by the key in `from`, and that it names what it needs.
 * @throws {ChatError} VERIFICATION_FAILED; INVALID_MSG, naming the field
 */
export function verifyModeration({ sig, ...statement }: Moderation): void {
  if (formatDidKey(verifyDetached(sig, statement, moderationType)) !== statement.from) {
    throw new ChatError("VERIFICATION_FAILED", `signature: must be made by ${statement.from}`)
  }
  const { action, agent, channel, grant, until, writers = [] } = statement
  const { target, lasts } = moderationActions[action]
  const needed = { agent: ["agent", "member"], channel: ["channel", "member"], grant: ["grant"] }
  const given = { agent, channel, grant }
  const faults = Object.entries(needed).map(([field, targets]) => {
    const isGiven = given[field as keyof typeof given] !== undefined
    if (isGiven === targets.includes(target)) return false
    return `${field}: ${isGiven ? "is not allowed" : "is missing"}`
  })
  if ((action === "restrict") !== writers.length > 0) {
    faults.push(`writers: ${action === "restrict" ? "is missing" : "is not allowed"}`)
  }
  if (until !== undefined && !lasts) faults.push("until: is not allowed")
  const fault = faults.find((one) => one !== false)
  if (fault !== undefined) throw new ChatError("INVALID_MSG", `${action}.${fault}`)
}

/** Returns the `prev` of the entry after this one. */
export function hashAuditEntry(entry: AuditEntry): string {
  return formatBase64Url(createHash("sha256").update(canonicalize(entry)).digest())
}

/**
 * Checks a whole audit log: every signature, every number, and that no entry was changed, left out or put in.
 * @returns the faults; none if the log is complete
 */
export function auditFaults(entries: readonly AuditEntry[]): string[] {
  const faults: string[] = []
  let prev = ""
  for (const [index, entry] of entries.entries()) {
    const place = `entry ${entry.seq}`
    if (entry.seq !== index + 1) faults.push(`${place}: is number ${index + 1} of the log`)
    if (entry.prev !== prev) faults.push(`${place}: does not follow the entry before it`)
    try {
      verifyModeration(entry.statement)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      faults.push(`${place}: ${error.message}`)
    }
    prev = hashAuditEntry(entry)
  }
  return faults
}
