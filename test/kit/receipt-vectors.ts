import { createHash } from "node:crypto"
import { canonicalize } from "../../src/identity/canonical-json.js"
import { formatDidKey } from "../../src/identity/keys.js"
import { type KeyPair, keyPairFromSeed, sign } from "../../src/identity/signer.js"

/** Members of a statement or receipt, possibly invalid. */
export type Members = Readonly<Record<string, unknown>>

/** Deviations in the signature of a statement. */
export interface Signature {
  readonly by?: KeyPair
  readonly typ?: string
  /** Derives the header text from the correct one. */
  readonly header?: (usual: string) => string
  /** Derives the whole signature from the correct one. */
  readonly text?: (usual: string) => string
}

/** One statement of a chain: its signer, deviations, and signature. */
export interface Said {
  readonly by: KeyPair
  readonly type: string
  readonly members?: Members
  readonly signature?: Signature
}

export const seeds = { alice: "01", bob: "02", carol: "03" } as const
export const [alice, bob, carol] = Object.values(seeds).map((byte) =>
  keyPairFromSeed(Buffer.alloc(32, Number.parseInt(byte, 16))),
) as [KeyPair, KeyPair, KeyPair]
export const didOf = ({ publicKey }: KeyPair): string => formatDidKey(publicKey)

/** Start of the deals, in milliseconds since the Unix epoch. */
export const t0 = 1_800_000_000_000
const b64 = (bytes: Uint8Array | string): string => Buffer.from(bytes as string).toString("base64url")

/** Signs arbitrary bytes, which the program never does. */
export function signAnything(
  body: Members,
  key: KeyPair,
  { by = key, typ, header, text }: Signature,
): string {
  const type = typ ?? `agentchat.${String(body["type"]).toLowerCase()}+jws`
  const usual = canonicalize({ alg: "EdDSA", kid: didOf(by), typ: type })
  const head = b64(header?.(usual) ?? usual)
  const sig = `${head}..${b64(sign(Buffer.from(`${head}.${b64(canonicalize(body))}`), by))}`
  return text?.(sig) ?? sig
}

/** Returns `prev` for the statement that follows. */
function hashOf(statement: Members): string {
  return createHash("sha256").update(canonicalize(statement)).digest("base64url")
}

const usualMembers: Readonly<Record<string, Members>> = {
  PROPOSAL: { task: "echo hello", expires: 300, dispute_window: 3_600 },
  DISPUTE: { reason: "not done" },
}

/** Signs a chain, each statement one second after the previous one. Undefined members are omitted. */
export function signChain(all: readonly Said[]): Members[] {
  const chain: Members[] = []
  for (const { by, type, members = {}, signature = {} } of all) {
    const before = chain.at(-1)
    const answers = before === undefined ? {} : { proposal_id: chain[0]?.["id"], prev: hashOf(before) }
    const usual: Members = {
      v: 1,
      type,
      id: before === undefined ? "prop_0001" : `step_${chain.length}`,
      from: didOf(by),
      to: didOf(by === alice ? bob : alice),
      ts: typeof before?.["ts"] === "number" ? before["ts"] + 1_000 : t0,
      aud: "relay-1",
      ...answers,
      ...usualMembers[type],
    }
    const body = Object.fromEntries(
      Object.entries({ ...usual, ...members }).filter(([, member]) => member !== undefined),
    )
    const sig = signAnything(body, by, signature)
    chain.push({ ...body, sig })
  }
  return chain
}

/** Builds the receipt of a chain, valid or not. */
export function receiptOf(chain: readonly Members[], besides: Members = {}): Members {
  const ofType = (type: string) => chain.filter((statement) => statement["type"] === type)
  const dispute = ofType("DISPUTE")
  return {
    v: 1,
    type: "RECEIPT",
    ...(chain[0] === undefined ? {} : { proposal: chain[0] }),
    ...(chain[1] === undefined ? {} : { accept: chain[1] }),
    complete: ofType("COMPLETE"),
    ...(dispute.length === 0 ? {} : { dispute }),
    ...besides,
  }
}

/** Builds the receipt line of a chain. */
export function lineOf(all: readonly Said[], besides: Members = {}): string {
  return canonicalize(receiptOf(signChain(all), besides))
}

export const says = (by: KeyPair, type: string, members: Members = {}, signature: Signature = {}): Said => ({
  by,
  type,
  members,
  signature,
})
