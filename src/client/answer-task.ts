import { questionDigest, signAnswer } from "../identity/answer-signature.js"
import type { KeyPair } from "../identity/signer.js"
import { checkAnswer } from "../protocol/answer-check.js"
import { ChatError } from "../protocol/errors.js"
import type { Connection } from "./connection.js"

/**
 * Takes a task, checks and signs the answer, and ends the task. Gives the task back if the answer does not fit.
 * @throws {ChatError} INVALID_MSG, the refusal of the relay
 */
export async function answerTask(
  request: Connection["request"],
  { task, answer }: { readonly task: string; readonly answer: string },
  signer: { readonly aud: string; readonly keyPair: KeyPair; readonly ts: number },
): Promise<void> {
  const claimed = await request({ type: "CLAIM", task })
  let content: string
  try {
    content = checkAnswer(claimed, answer)
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
    await request({ type: "FAIL", task, reason: "the answer did not fit" })
    throw error
  }
  const { keyPair, ...facts } = signer
  const proof = signAnswer({ ...facts, task, question: questionDigest(claimed), answer: content }, keyPair)
  await request({ type: "DONE", task, content, answer: proof })
}
