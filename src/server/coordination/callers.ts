import { createHash } from "node:crypto"
import type { IncomingMessage } from "node:http"
import type { Backbone } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import { httpAgent } from "../../coordination/event.js"
import { parseBase64Url } from "../../identity/base64.js"
import { isSignature, verifyRequest } from "../../identity/http-signature.js"
import { agentIdOf, formatDidKey } from "../../identity/keys.js"
import { ChatError } from "../../protocol/errors.js"
import { type Grant, grant } from "../../protocol/grants.js"
import type { AgentId } from "../../protocol/names.js"
import { object, parseAs } from "../../protocol/schema.js"
import type { GrantService } from "../grants/grant-service.js"
import { idsOf, type ModerationService } from "../moderation/moderation-service.js"
import type { EndedKeys } from "../roster/ended-keys.js"
import type { Roster } from "../roster/roster.js"
import type { Origin } from "../sessions/origin.js"

/** The client of a request. */
export interface Caller {
  /** The agent that grants and moderation know it as. */
  readonly id: AgentId
  /** Its earlier ids. */
  readonly formerly?: readonly AgentId[] | undefined
  readonly origin: Origin
  /** True if it proved the key of `id`. */
  readonly isProven: boolean
  /** A text that is different for each signed request. */
  readonly nonce?: string
}

interface CallerServices {
  readonly backbone: Pick<Backbone, "id">
  readonly grants: GrantService
  readonly moderation: Pick<ModerationService, "banOf">
  readonly endedKeys: Pick<EndedKeys, "find">
  readonly roster: Pick<Roster, "find">
}

/** The part of an invitation link that holds the grant. */
const invitation = object({ grant })
const bearer = /^bearer\s+(\S+)$/i

/**
 * Finds out who sends a request: an agent that signs it, the holder of a grant, or in an open relay anybody.
 * @throws {ChatError} AUTH_REQUIRED if the relay is closed and nothing proves the right to enter; FORBIDDEN,
 * VERIFICATION_FAILED, KEY_ENDED, UNAVAILABLE
 */
export async function identifyCaller(
  { headers: { authorization }, method = "GET", url = "" }: IncomingMessage,
  { body, origin }: { readonly body: string; readonly origin: Origin },
  { backbone, grants, moderation, endedKeys, roster }: CallerServices,
  clock: Clock,
): Promise<Caller> {
  if (authorization !== undefined && isSignature(authorization)) {
    const request = { method, path: url, body, aud: backbone.id }
    const { key, sig } = verifyRequest(authorization, request, clock.now())
    const id = agentIdOf(key)
    if (endedKeys.find(id) !== undefined) {
      throw new ChatError("FORBIDDEN", `Authorization: the key of ${id} was revoked or replaced`)
    }
    // Grants and bans of a key hold for the one that replaced it.
    const holder = { id, formerly: roster.find(id)?.formerly }
    const ban = moderation.banOf(idsOf(holder))
    if (ban !== undefined) throw ban
    if (grants.isClosed) await grants.enter(holder, formatDidKey(key), [])
    return { ...holder, origin, isProven: true, nonce: createHash("sha256").update(sig).digest("hex") }
  }
  if (!grants.isClosed) return { id: httpAgent, origin, isProven: false }
  if (authorization === undefined) {
    throw new ChatError("AUTH_REQUIRED", "this relay is closed: ask an operator for a grant", {
      hint: "send it as Authorization: Bearer TOKEN; TOKEN is what an invitation link has after its last slash",
    })
  }
  const shown = readBearer(authorization)
  if (shown === undefined) throw new ChatError("AUTH_REQUIRED", "Authorization: is no grant of this relay")
  const id = holderOf(shown)
  await grants.enter({ id }, "", [shown])
  return { id, origin, isProven: false }
}

function readBearer(authorization: string): Grant | undefined {
  const bytes = parseBase64Url(bearer.exec(authorization)?.[1] ?? "")
  return bytes && parseAs(invitation, Buffer.from(bytes).toString("utf8"))?.grant
}

/** Returns the id under which everybody counts who shows the same grant over HTTP: it uses the grant once. */
function holderOf({ id }: Grant): AgentId {
  const base32 = "abcdefghijklmnopqrstuvwxyz234567"
  const digest = createHash("sha256").update(`http\n${id}`).digest()
  return `@3${Array.from(digest.subarray(0, 7), (byte) => base32.charAt(byte & 31)).join("")}` as AgentId
}
