/** Fields and rules of a task that asks for one of several answers, or for an answer of a given form. */
import { isPlain } from "../base/plain.js"
import { ChatError } from "./errors.js"
import { anyObject, list, matching, number, object, optional, string, tested, text, whole } from "./schema.js"

/** The role of people. Its tasks are offered to everybody who has it, and the first answer counts. */
export const humanRole = "human"

/** The longest life of a task, in seconds: 7 days. */
const maxTtl = 604_800
const maxSchema = 4_096
const maxSchemaDepth = 8
const maxAnswer = 4_096

const choice = matching(
  /^(?! )[^\p{C}\p{Zl}\p{Zp}]{1,64}(?<! )$/u,
  "must be 1-64 visible characters without a space around them",
)

/**
 * Keywords that an answer's schema may use. Without references, patterns and combinations the time to check an answer is
 * bounded, whoever wrote the schema.
 */
const keywords: ReadonlySet<string> = new Set([
  ...["$schema", "title", "description", "type", "enum", "const", "default", "examples"],
  ...["properties", "required", "additionalProperties", "minProperties", "maxProperties"],
  ...["items", "minItems", "maxItems", "minLength", "maxLength", "format"],
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
])

function isAnswerSchema(value: unknown, depth = 0): boolean {
  if (typeof value === "boolean") return depth > 0
  if (!isPlain(value) || depth > maxSchemaDepth) return false
  if (depth === 0 && JSON.stringify(value).length > maxSchema) return false
  if (Object.keys(value).some((key) => !keywords.has(key))) return false
  const { properties = {}, items = true, additionalProperties = true } = value
  const parts = isPlain(properties) ? Object.values(properties) : [undefined]
  return [...parts, items, additionalProperties].every((part) => isAnswerSchema(part, depth + 1))
}

/** Fields of MSG to a role, and of the TASK it becomes. */
const questionFields = {
  /** The only answers. */
  choices: optional(list(choice, 32)),
  /** JSON Schema of the answer, which then is JSON. */
  schema: optional(
    tested<Readonly<Record<string, unknown>>>(
      (value) => isAnswerSchema(value),
      `must be a JSON Schema of at most ${maxSchema} characters and ${maxSchemaDepth} levels, with no keywords but ${[...keywords].join(", ")}`,
    ),
  ),
  /** The answer that is given when the task expires. */
  default: optional(text(maxAnswer, 1)),
} as const

/** Fields of MSG for tasks only. */
export const taskFields = {
  /** Seconds until the task expires, unless it is answered. */
  ttl_s: optional(whole(1, maxTtl)),
  ...questionFields,
} as const

/** The proof of an answer: the digest of the question that was seen, when it was answered, and the signature. */
export const answerProof = object({
  question: matching(/^[A-Za-z0-9_-]{43}$/, "must be the base64url of a SHA-256"),
  ts: whole(),
  sig: text(1_024),
})

/** The form of the answer that a task asks for. */
export interface Question {
  readonly choices?: readonly string[] | undefined
  readonly schema?: Readonly<Record<string, unknown>> | undefined
}

/** Reports whether the answer to a task has a form, or comes from a person, and so must be signed. */
export function isQuestion({ choices, schema }: Question, role: string): boolean {
  return choices !== undefined || schema !== undefined || role.toLowerCase() === humanRole
}

/** A message to a role, or another one that has fields which only a task may have. */
interface TaskMessage extends Question {
  readonly to: string
  readonly ttl_s?: number | undefined
  readonly default?: string | undefined
}

/** Returns the fields of a message that only a task may have; undefined for any other message. */
export function taskFieldsOf({
  ttl_s,
  choices,
  schema,
  default: fallback,
}: TaskMessage): Omit<TaskMessage, "to"> | undefined {
  if (ttl_s === undefined && choices === undefined && schema === undefined && fallback === undefined)
    return undefined
  return { ttl_s, choices, schema, default: fallback }
}

/**
 * Checks what the fields of a message say together.
 * @param check - checks the default answer
 * @throws {ChatError} INVALID_MSG, naming the field, with a hint
 */
export function requireTask(message: TaskMessage, check: CheckAnswer): void {
  const fields = taskFieldsOf(message)
  if (fields === undefined) return
  const [first = ""] = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  if (!message.to.startsWith("+")) {
    throw invalid(first, "only for a task", "send it to a role, such as +human, or leave the field out")
  }
  requireForm(fields)
  requireDefault(fields, check)
}

function requireForm({ choices, schema }: Question): void {
  if (choices !== undefined && schema !== undefined) {
    throw invalid("schema", "choices and schema are mutually exclusive", "leave one of them out")
  }
  if (choices !== undefined && new Set(choices.map(fold)).size < Math.max(1, choices.length)) {
    throw invalid("choices", "must be one or more texts that differ", "write each choice once")
  }
}

function requireDefault(fields: Omit<TaskMessage, "to">, check: CheckAnswer): void {
  const { default: fallback, ttl_s } = fields
  if (fallback === undefined) return
  if (ttl_s === undefined) throw invalid("default", "needs an expiry", 'add "ttl_s", in seconds')
  try {
    check(fields, fallback)
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
    throw invalid("default", error.message.replace(/^content: /, ""), error.hint ?? "")
  }
}

/** Checks an answer. @returns it as it counts @throws {ChatError} INVALID_MSG, with a hint */
export type CheckAnswer = (question: Question, answer: string) => string

/**
 * Finds the choice that a text means: the same text, in any case and with any space around it.
 * @throws {ChatError} INVALID_MSG, with the choices as its hint
 */
export function choiceOf(choices: readonly string[], answer: string): string {
  const found = choices.find((each) => each === answer) ?? choices.find((each) => fold(each) === fold(answer))
  if (found !== undefined) return found
  throw new ChatError("INVALID_MSG", "content: is none of the choices", {
    hint: `answer with one of: ${choices.join(", ")}`,
  })
}

function fold(text: string): string {
  return text.trim().toLowerCase()
}

function invalid(field: string, problem: string, hint: string): ChatError {
  return new ChatError("INVALID_MSG", `MSG.${field}: ${problem}`, { hint })
}

/** The form of the answer that a task asks for, and its expiry. */
export const askedFields = {
  choices: optional(list(string)),
  schema: optional(anyObject()),
  /** The answer that is given when it expires. */
  default: optional(string),
  /** When it expires. */
  expires_ts: optional(number()),
} as const
