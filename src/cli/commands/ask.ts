import { readFileSync } from "node:fs"
import { omitUndefined } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, list, type Parse, required, value } from "../command.js"
import { messageFrame, messageOptions } from "../input/message-frame.js"
import { parseJsonText } from "../input/text-source.js"
import { anyText, duration, seconds, someText, worker } from "../input/values.js"
import { sendAndWait } from "../relay/delivery.js"
import { requestOptions } from "../relay/relay-request.js"

/** A duration such as `1h`, or a number of seconds above 0; in milliseconds. */
const time: Parse<number> = (text, label) =>
  /[a-z]$/.test(text) ? duration(text, label) : seconds(text, label)

/** Milliseconds to wait for the answer, without `--wait`. */
const answerMs = 120_000
/** Milliseconds for the news of an expiry to arrive. */
const expiryNewsMs = 10_000

const { timeout: _timeout, ...senderOptions } = requestOptions

export const ask = defineCommand({
  args: {
    target: required("@agent or +role (one free worker of it)", worker),
    text: required("the question; - reads it from standard input", anyText),
  },
  options: {
    ...senderOptions,
    wait: value("TIME", `time to wait for the answer, such as 90 or 1h (default ${answerMs / 1_000})`, time),
    choices: list("TEXT", "the only answers, such as yes,no; to a +role", someText),
    schema: value("FILE", "JSON Schema of the answer; to a +role", someText, "file"),
    default: value("TEXT", "the answer when the question expires", someText),
    ttl: value("TIME", "when it expires, such as 1h (with --default: --wait)", time),
    ...messageOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat ask +reviewer 'is src/a.ts safe to merge?'",
    "git diff | agentchat ask +reviewer - --wait 600 --json",
    "agentchat ask +human 'may I merge?' --choices yes,no --default no --wait 1h",
  ],
  notes: [
    "Prints the answer. Exit 4 on timeout; prints whether the question is queued or who claimed it.",
    "+human asks people, who sign. Exit 9 if the question expired (prints the default), 11 if no person is online.",
    "The question is not lost: a late answer arrives in the inbox of the daemon that asked.",
  ],
  async run(context, input) {
    const { target, text } = input.args
    const { options } = input
    const waitMs = options.wait ?? answerMs
    const question = questionOf(target, options, waitMs)
    const frame = { ...(await messageFrame(context, target, text, options)), ...question }
    const expiryMs = (question.ttl_s ?? Number.POSITIVE_INFINITY) * 1_000
    // A wait until the expiry includes the news of it.
    const timeoutMs = expiryMs <= waitMs + 1_000 ? expiryMs + expiryNewsMs : waitMs
    return sendAndWait(context, input, { frame, wanted: "answered", timeoutMs })
  },
})

/** Values of the options about the answer. */
interface QuestionOptions {
  readonly choices: readonly string[] | undefined
  readonly schema: string | undefined
  readonly default: string | undefined
  readonly ttl: number | undefined
}

/** @throws {ChatError} USAGE, NOT_FOUND */
function questionOf(target: string, options: QuestionOptions, waitMs: number) {
  const { choices, schema: file, default: fallback, ttl } = options
  const named = Object.entries({ choices, schema: file, default: fallback, ttl })
  const [first] = named.flatMap(([name, given]) => (given === undefined ? [] : [name]))
  if (first !== undefined && !target.startsWith("+")) {
    throw new ChatError("USAGE", `--${first}: only for a question to a +role`, {
      hint: "ask people with: agentchat ask +human TEXT",
    })
  }
  const ttlMs = ttl ?? (fallback === undefined ? undefined : waitMs)
  return omitUndefined({
    choices,
    schema: file === undefined ? undefined : readSchema(file),
    default: fallback,
    ttl_s: ttlMs === undefined ? undefined : Math.max(1, Math.ceil(ttlMs / 1_000)),
  })
}

function readSchema(file: string): Readonly<Record<string, unknown>> {
  let text: string
  try {
    text = readFileSync(file, "utf8")
  } catch (cause) {
    throw new ChatError("NOT_FOUND", `--schema: ${file} cannot be read`, { cause })
  }
  // The relay says what is wrong with a schema.
  return parseJsonText(text, "--schema") as Readonly<Record<string, unknown>>
}
