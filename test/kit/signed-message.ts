import { type MessageAuthor, signFrame } from "../../src/client/message-signer.js"
import { agentIdOf } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ClientFrame } from "../../src/protocol/client-messages.js"

/** The time of {@link signedMsg}: that of a new FakeClock. */
export const signedTs = 1_800_000_000_000

export type Author = Pick<MessageAuthor, "agentId" | "keyPair">

/** Makes an author with a new key. */
export function newAuthor(keyPair = generateKeyPair()): Author {
  return { agentId: agentIdOf(keyPair.publicKey), keyPair }
}

/** Makes a MSG as an honest relay passes it on, signed by its author for the relay `relay-1`. */
export function signedMsg(
  author: Author,
  fields: Partial<ClientFrame<"MSG">> & { readonly to: string },
  { aud = "relay-1", ts = signedTs, name = "alice", reader = fields.to } = {},
) {
  const frame = { type: "MSG", id: "m1", content: "hi", ...fields } as const
  const { id, content, parts, kind, in_reply_to, signed } = signFrame<ClientFrame<"MSG">>(
    frame,
    { ...author, serverId: aud },
    ts,
  )
  const from = author.agentId
  const msg_id = `${from.slice(1)}.${id}`
  const more = { ...(parts && { parts }), ...(kind && { kind }), ...(in_reply_to && { in_reply_to }) }
  if (signed === undefined) throw new Error("not signed")
  return { type: "MSG", from, name, to: reader, content, ts, msg_id, hops: 0, ...more, signed } as const
}
