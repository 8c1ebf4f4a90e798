import { schemaFault } from "../base/json-schema.js"
import { ChatError } from "./errors.js"
import { type CheckAnswer, choiceOf } from "./questions.js"

/** Characters of an answer that has a schema. */
const maxCharacters = 65_536

/** Checks an answer against the choices or the schema of its question; any text answers a question without them. */
export const checkAnswer: CheckAnswer = ({ choices, schema }, answer) => {
  if (choices !== undefined) return choiceOf(choices, answer)
  if (schema !== undefined) requireSchema(schema, answer)
  return answer
}

function requireSchema(schema: object, answer: string): void {
  const hint = `answer with JSON of this schema: ${JSON.stringify(schema).slice(0, 1_000)}`
  if (answer.length > maxCharacters)
    throw new ChatError("INVALID_MSG", `content: must be at most ${maxCharacters} characters`, { hint })
  let value: unknown
  try {
    value = JSON.parse(answer)
  } catch {
    throw new ChatError("INVALID_MSG", "content: must be JSON", { hint })
  }
  const fault = schemaFault(value, schema)
  if (fault !== undefined)
    throw new ChatError("INVALID_MSG", `content: does not fit the schema: ${fault}`, { hint })
}
