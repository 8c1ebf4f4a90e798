import type { clientMessages } from "../../src/protocol/client-messages.js"

const signed = {
  v: 1,
  from: "did:key:z6MkqtSVSVdNZT6DEm9JtdspNbaW2VkgkzAR9YkhhUZzR7vo",
  to: "did:key:z6MkfUWmkhRfHPg3Yg6HyjJ3WGMiQ8LvZCwx3X2f7V7eaBCk",
  ts: 1_800_000_000_000,
  aud: "s1",
  sig: "a..b",
} as const
const answer = { ...signed, proposal_id: "prop_k3v5abcd", prev: "a".repeat(43) } as const

/** One complete example of every client message, without type and id. */
export const clientExamples = {
  IDENTIFY: { name: "bob", pubkey: "did:key:z6Mk", role: "reviewer", card: { skills: [] } },
  VERIFY_IDENTITY: { challenge_id: "c1", sig: "a..b" },
  KEY_STATEMENT: {
    statement: { v: 1, type: "REVOCATION", from: signed.from, ts: 1, reason: "lost", sig: "a..b" },
  },
  JOIN: { channel: "#general", since: 4 },
  LEAVE: { channel: "#general" },
  MSG: {
    to: "#general",
    content: "hi",
    parts: [
      { kind: "text", text: "t" },
      { kind: "com.example.diff", lines: [1] },
    ],
    in_reply_to: "x.1",
    kind: "inform",
    mentions: ["@bob"],
    ts: 1,
    sig: "s",
  },
  FORECAST: { to: "#general", content: "hi", in_reply_to: "x.1", kind: "request", mentions: ["@bob"] },
  LIST_GUARDS: { agent: "@bob" },
  RESET_GUARD: { scope: "@a @b" },
  MODERATE: {
    statement: {
      ...{ v: 1, type: "MODERATION", id: "0123456789", action: "kick", from: signed.from, aud: "s1" },
      ...{ agent: "@bob", channel: "#general", reason: "spam", until: 2, ts: 1, sig: "a..b" },
    },
  },
  LIST_AUDIT: { after: 3 },
  LIST_CHANNELS: {},
  LIST_AGENTS: { channel: "#general", agent: "@bob", cards: true },
  CREATE_CHANNEL: { channel: "#new", invite_only: true, durable: true, description: "d" },
  SET_CHANNEL: { channel: "#new", description: "d", instructions: "i", replay: false, window: "24h" },
  REMOVE_CHANNEL: { channel: "#new" },
  INVITE: { channel: "#new", agent: "@bob" },
  SET_PRESENCE: { status: "working", activity: "tests", role: "builder", attention: "focus" },
  SET_ATTENTION: { channel: "#general", attention: "quiet" },
  SET_WAKE_LEASE: {
    lease: { method: "wait", latency_ms: 80, proven_ts: 1, expires_ts: 2, sig: "a..b" },
  },
  RECEIVED: {
    ids: ["x.1"],
    up_to: { "#general": 3 },
    retrieved: ["x.1"],
    rung: ["x.1"],
    in_context: ["x.1"],
    method: "hook",
  },
  PENDING: { target: "+reviewer" },
  CLAIM: { task: "x.1" },
  EXTEND: { task: "x.1" },
  DONE: { task: "x.1", content: "done" },
  FAIL: { task: "x.1", reason: "no" },
  PROPOSAL: {
    ...signed,
    task: "review src",
    currency: "SOL",
    payment_code: "PM8T",
    terms: "two days",
    amount: "0.05",
    expires: 300,
    dispute_window: 604_800,
  },
  ACCEPT: { ...answer, payment_code: "PM8T" },
  REJECT: { ...answer, reason: "no time" },
  COMPLETE: { ...answer, proof: "tx:5abc" },
  DISPUTE: { ...answer, reason: "never came", fault: "other" },
  LIST_PROPOSALS: { proposal: "prop_k3v5abcd", since: 1 },
  PING: {},
} as const satisfies Record<keyof typeof clientMessages, object>
