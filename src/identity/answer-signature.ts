import { createHash } from "node:crypto"
import { omitUndefined } from "../base/plain.js"
import { ChatError } from "../protocol/errors.js"
import { canonicalize } from "./canonical-json.js"
import { signDetached, verifyDetached } from "./detached-jws.js"
import { agentIdOf } from "./keys.js"
import type { KeyPair } from "./signer.js"

/** The part of a task that its answer is about, as the worker saw it. */
export interface SeenQuestion {
  readonly role: string
  readonly content: string
  readonly parts?: readonly unknown[] | undefined
  readonly choices?: readonly string[] | undefined
  readonly schema?: object | undefined
  readonly default?: string | undefined
}

/** The proof of an answer, as DONE and MSG carry it. */
export interface AnswerProof {
  /** {@link questionDigest} */
  readonly question: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  readonly sig: string
}

/** An answer as it is signed. `aud` is the `server_id` of the relay. */
interface SignedAnswer {
  readonly aud: string
  readonly task: string
  readonly question: string
  readonly answer: string
  readonly ts: number
}

const answerType = "agentchat.answer+jws"

/** Returns the canonical JSON of a question. */
export function questionText({
  role,
  content,
  parts,
  choices,
  schema,
  default: fallback,
}: SeenQuestion): string {
  const given = parts !== undefined && parts.length > 0 ? parts : undefined
  const question = omitUndefined({ content, parts: given, choices, schema, default: fallback })
  return canonicalize({ role: role.toLowerCase(), ...question })
}

/** Returns the base64url of the SHA-256 of a question's canonical JSON. */
export function questionDigest(question: SeenQuestion): string {
  return digestOfText(questionText(question))
}

/** Returns the digest of a question by its {@link questionText}. */
export function digestOfText(text: string): string {
  return createHash("sha256").update(text).digest("base64url")
}

/** Signs an answer with the key of the agent that gives it. */
export function signAnswer({ aud, task, question, answer, ts }: SignedAnswer, keyPair: KeyPair): AnswerProof {
  return { question, ts, sig: signDetached({ aud, task, question, answer, ts }, keyPair, answerType) }
}

/** Reports whether the key of an agent signed this answer to a task. */
export function isAnswerOf(
  { aud, task, answer }: Pick<SignedAnswer, "aud" | "task" | "answer">,
  { question, ts, sig }: AnswerProof,
  agentId: string,
): boolean {
  try {
    return agentIdOf(verifyDetached(sig, { aud, task, question, answer, ts }, answerType)) === agentId
  } catch (error) {
    if (error instanceof ChatError) return false
    throw error
  }
}
