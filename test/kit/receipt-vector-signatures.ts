import { formatBase58 } from "../../src/identity/base58.js"
import { canonicalize } from "../../src/identity/canonical-json.js"
import { signRevocation, signRotation } from "../../src/identity/succession.js"
import {
  byBob,
  invalid,
  type KeyVector,
  one,
  proposal,
  type ReceiptVector,
  valid,
} from "./receipt-vector-deals.js"
import {
  alice,
  bob,
  carol,
  didOf,
  lineOf,
  type Members,
  type Said,
  says,
  signAnything,
  t0,
} from "./receipt-vectors.js"

const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n
/** Variants of the ACCEPT signature. */
const accepted = (why: string, signature: NonNullable<Said["signature"]>) =>
  invalid(`accept.sig: ${why}`, lineOf([proposal, says(bob, "ACCEPT", {}, signature), byBob]))

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** The same signature with S + L instead of S. */
function malleated(sig: string): string {
  const [head = "", , tail = ""] = sig.split(".")
  const bytes = Buffer.from(tail, "base64url")
  let s = groupOrder
  for (let i = 0; i < 32; i++) s += BigInt(bytes[32 + i] ?? 0) << BigInt(8 * i)
  for (let i = 0; i < 32; i++) bytes[32 + i] = Number((s >> BigInt(8 * i)) & 255n)
  return `${head}..${bytes.toString("base64url")}`
}

/** Invalid signatures. */
export const signatures: readonly ReceiptVector[] = [
  accepted("made for another act", { typ: "agentchat.complete+jws" }),
  accepted("made for nothing we know", { typ: "JWT" }),
  accepted("made by the other party", { by: alice }),
  accepted("made by the other party, who says otherwise", {
    by: alice,
    header: (usual) => usual.replace(didOf(alice), didOf(bob)),
  }),
  accepted("kid of the other party", { header: (usual) => usual.replace(didOf(bob), didOf(alice)) }),
  accepted("alg none", { header: (usual) => usual.replace("EdDSA", "none") }),
  accepted("alg Ed25519", { header: (usual) => usual.replace("EdDSA", "Ed25519") }),
  accepted("a member too many in the header", { header: (usual) => usual.replace("{", '{"b64":false,') }),
  accepted("a member twice in the header", { header: (usual) => usual.replace("{", '{"alg":"EdDSA",') }),
  accepted("the header in another order", {
    header: (usual) =>
      canonicalize(JSON.parse(usual)).replace('{"alg":"EdDSA",', "{").replace("}", ',"alg":"EdDSA"}'),
  }),
  accepted("the header with white space", { header: (usual) => usual.replace(",", ", ") }),
  accepted("the header with an escape", { header: (usual) => usual.replace("+", "\\u002b") }),
  accepted("a kid with a fragment", {
    header: (usual) => usual.replace(didOf(bob), `${didOf(bob)}#${didOf(bob).slice(8)}`),
  }),
  accepted("S + L", { text: malleated }),
  accepted("stray low bits in base64", {
    text: (usual) => usual.slice(0, -1) + (alphabet[alphabet.indexOf(usual.at(-1) ?? "") + 1] ?? ""),
  }),
  accepted("padding", { text: (usual) => `${usual}==` }),
  accepted("the standard alphabet", { text: (usual) => usual.replaceAll("-", "+").replaceAll("_", "/") }),
  accepted("white space", { text: (usual) => `${usual} ` }),
  accepted("a newline at the end", { text: (usual) => `${usual}\n` }),
  accepted("an attached payload", { text: (usual) => usual.replace("..", ".e30.") }),
  accepted("one part only", { text: (usual) => usual.slice(0, usual.indexOf(".")) }),
  accepted("a part too many", { text: (usual) => `${usual}.` }),
  accepted("a byte short", { text: (usual) => usual.slice(0, -2) }),
  accepted("a byte too long", { text: (usual) => `${usual.slice(0, -1)}AAA` }),
  accepted("empty", { text: () => "" }),
  ...weakKeys(),
]

/** Small-order keys under which one signature fits every message. */
function weakKeys(): ReceiptVector[] {
  const identity = `01${"00".repeat(31)}`
  const keys = { "of small order": identity, "of small order, in another encoding": `ee${"ff".repeat(30)}7f` }
  return Object.entries(keys).map(([why, hex]) => {
    const did = `did:key:z${formatBase58(Buffer.from(`ed01${hex}`, "hex"))}`
    const tail = Buffer.from(`${identity}${"00".repeat(32)}`, "hex").toString("base64url")
    const text = (usual: string) => {
      const [head = ""] = usual.split(".")
      const header = Buffer.from(head, "base64url").toString().replace(didOf(bob), did)
      return `${Buffer.from(header).toString("base64url")}..${tail}`
    }
    const weak = { from: did, to: didOf(alice) }
    return invalid(
      `signed by a key ${why}`,
      lineOf([
        says(alice, "PROPOSAL", { to: did }),
        says(bob, "ACCEPT", weak, { text }),
        says(bob, "COMPLETE", weak, { text }),
      ]),
    )
  })
}

const oneLine = lineOf(one)
const revocation = (by: typeof alice, ts: number) => canonicalize(signRevocation(by, ts, "laptop lost"))
const rotation = (from: typeof alice, to: typeof alice, ts: number) =>
  canonicalize(signRotation(from, to, ts))
/** Rotations and revocations. ACCEPT is at t0 + 1 s, COMPLETE at t0 + 2 s. */
export const succession: readonly ReceiptVector[] = [
  valid(
    "the key was revoked after all it said",
    oneLine,
    ["completed-by-one"],
    [revocation(bob, t0 + 2_001)],
  ),
  valid(
    "the other's key was revoked after all it said",
    oneLine,
    ["completed-by-one"],
    [revocation(alice, t0 + 1)],
  ),
  valid(
    "the key was replaced after all it said",
    oneLine,
    ["completed-by-one"],
    [rotation(bob, carol, t0 + 2_001)],
  ),
  valid(
    "it is the key that replaced another",
    oneLine,
    ["completed-by-one"],
    [rotation(carol, bob, t0 + 1_500)],
  ),
  valid("a stranger's key was revoked", oneLine, ["completed-by-one"], [revocation(carol, t0)]),
  invalid("the key was revoked at its last word", oneLine, [revocation(bob, t0 + 2_000)]),
  invalid("the key was revoked before its last word", oneLine, [
    revocation(carol, 0),
    revocation(bob, t0 + 1_500),
  ]),
  invalid("the key was replaced before its last word", oneLine, [rotation(bob, carol, t0 + 1_500)]),
  invalid("the proposer's key was revoked before", oneLine, [revocation(alice, t0 - 1)]),
]

/** Statements about keys, each on its own line. */
export function keyVectors(): KeyVector[] {
  const revoked: Members = { v: 1, type: "REVOCATION", from: didOf(bob), ts: t0 }
  const replaced: Members = { v: 1, type: "ROTATION", from: didOf(bob), to: didOf(carol), ts: t0 }
  const line = (body: Members, by = bob, signature = {}) =>
    canonicalize({ ...body, sig: signAnything(body, by, signature) })
  const two = (a: typeof alice, b: typeof alice) =>
    canonicalize({ ...replaced, sigs: [signAnything(replaced, a, {}), signAnything(replaced, b, {})] })
  const bad = (why: string, text: string): KeyVector => ({ why, line: text, verdict: "invalid" })
  return [
    { why: "a revocation", line: line(revoked), verdict: "valid" },
    { why: "a revocation with a reason", line: revocation(bob, t0), verdict: "valid" },
    { why: "a rotation", line: two(bob, carol), verdict: "valid" },
    bad("a revocation by another key", line(revoked, alice)),
    bad("a revocation of another time", line(revoked).replace(String(t0), String(t0 + 1))),
    bad("a revocation made for another act", line(revoked, bob, { typ: "agentchat.rotation+jws" })),
    bad("a revocation with a member too many", line({ ...revoked, note: "x" })),
    bad("a revocation whose reason is no text", line({ ...revoked, reason: 1 })),
    { why: "a revocation of version 2", line: line({ ...revoked, v: 2 }), verdict: "undecided" },
    bad("a revocation at no whole time", line({ ...revoked, ts: t0 + 0.5 })),
    bad("a revocation before 1970", line({ ...revoked, ts: -1 })),
    bad(
      "a revocation whose header has another order",
      line(revoked, bob, {
        header: (usual: string) => usual.replace('{"alg":"EdDSA",', "{").replace("}", ',"alg":"EdDSA"}'),
      }),
    ),
    bad("a revocation with a duplicate key", line(revoked).replace('"v":1', '"v":1,"v":1')),
    bad("a rotation the old key did not sign", two(carol, carol)),
    bad("a rotation the new key did not sign", two(bob, bob)),
    bad("a rotation whose signatures are swapped", two(carol, bob)),
    bad("a rotation with one signature", two(bob, carol).replace(/,"eyJ[^"]*"\]/, "]")),
  ]
}
