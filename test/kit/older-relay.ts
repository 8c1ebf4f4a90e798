import { verify } from "node:crypto"
import type { ClientFrame } from "../../src/protocol/client-messages.js"
import { FakeRelay, type FakeRelayOptions } from "./fake-relay.js"

const question = { challenge_id: "chal_1", nonce: "0123456789abcdef" }

/** A relay of the first generation: no ids, no acknowledgements, PEM keys, its own signed text. */
export function startOlderRelay(answers: FakeRelayOptions["answers"] = {}): Promise<FakeRelay> {
  let pem = ""
  return FakeRelay.start({
    answers: {
      IDENTIFY: ({ pubkey }) => {
        if (pubkey === undefined) return { type: "WELCOME", agent_id: "@older123", server: "old" }
        pem = pubkey
        return { type: "CHALLENGE", ...question, expires_at: 1_800_000_030_000 }
      },
      VERIFY_IDENTITY: (frame) =>
        isProof(frame, pem)
          ? { type: "WELCOME", agent_id: "@361d642d", server: "old" }
          : { type: "ERROR", code: "VERIFICATION_FAILED", message: "bad signature" },
      JOIN: ({ channel }) => [
        { type: "JOINED", channel, agents: ["@older123", "@bbbbbbbb"] },
        { type: "MSG", from: "@bbbbbbbb", to: channel, content: "earlier", ts: 5, replay: true },
      ],
      CREATE_CHANNEL: ({ channel }) => ({
        type: "JOINED",
        channel,
        agents: [{ id: "@older123", name: "bob" }],
      }),
      LEAVE: () => undefined,
      MSG: ({ to, content }) => ({ type: "MSG", from: "@older123", to, content, ts: 6 }),
      LIST_CHANNELS: () => ({ type: "CHANNELS", list: [{ name: "#general", agents: 2 }, "#agents"] }),
      LIST_AGENTS: ({ channel }) => ({
        type: "AGENTS",
        channel,
        list: ["@bbbbbbbb", { id: "@cccccccc", name: "eve" }],
      }),
      INVITE: () => undefined,
      SET_PRESENCE: () => ({ type: "ERROR", code: "INVALID_MSG", message: "unknown type" }),
      PING: () => ({ type: "PONG" }),
      ...answers,
    },
  })
}

function isProof(
  { challenge_id, signature = "", timestamp = 0 }: ClientFrame<"VERIFY_IDENTITY">,
  pem: string,
): boolean {
  const text = `AGENTCHAT_AUTH|${question.nonce}|${challenge_id}|${timestamp}`
  return verify(null, Buffer.from(text), pem, Buffer.from(signature, "base64"))
}
