/** The answers that each harness accepts from a hook: schemas without any other member. */
import type { Harness } from "../../../src/harness/harness.js"

/** Members by name: a kind of value, the values that are allowed, or a schema. A name that ends with `?` may be absent. */
interface Schema {
  readonly [member: string]: "text" | readonly unknown[] | Schema
}

const nothing: Schema = {}
const blocked: Schema = { decision: ["block"], reason: "text" }
const contextOf = (name: string): Schema => ({
  hookSpecificOutput: { hookEventName: [name], additionalContext: "text" },
})

/** Schemas of harnesses in the shape of Claude Code. */
function nested(stop: string, reason: Schema, ...events: string[]): Readonly<Record<string, Schema>> {
  return { ...Object.fromEntries(events.map((name) => [name, contextOf(name)])), [stop]: reason }
}

const cursorContext: Schema = { additional_context: "text" }
const toolEvents = ["PostToolUse", "PostToolUseFailure", "PostToolBatch"]

/** By harness and event, what it accepts besides an empty object; other events accept nothing else. */
const schemas: Readonly<Record<Exclude<Harness, "kimi">, Readonly<Record<string, Schema>>>> = {
  claude: nested("Stop", blocked, "SessionStart", "UserPromptSubmit", ...toolEvents),
  codex: nested("Stop", blocked, "SessionStart", "UserPromptSubmit", "PostToolUse"),
  gemini: nested(
    "AfterAgent",
    { decision: ["deny", "block"], reason: "text" },
    ...["SessionStart", "BeforeAgent", "AfterTool"],
  ),
  antigravity: {
    PreToolUse: { decision: ["allow"] },
    PreInvocation: { injectSteps: [[{ ephemeralMessage: "text" }]] },
    Stop: { decision: ["continue"], reason: "text" },
  },
  cursor: {
    sessionStart: { "env?": { AGENTCHAT_SESSION: "text" }, "additional_context?": "text" },
    beforeSubmitPrompt: cursorContext,
    postToolUse: cursorContext,
    postToolUseFailure: cursorContext,
    afterFileEdit: cursorContext,
    stop: { followup_message: "text" },
  },
  copilot: {
    sessionStart: { additionalContext: "text" },
    postToolUse: { additionalContext: "text" },
    notification: { additionalContext: "text" },
    agentStop: blocked,
  },
  goose: { Stop: blocked },
  opencode: {
    "chat.message": { context: "text" },
    "tool.execute.after": { context: "text" },
    "session.idle": { continue: "text" },
  },
  amp: { "agent.start": { context: "text" }, "agent.end": { continue: "text" } },
}

/**
 * Checks the standard output of a hook.
 * @returns the problem; undefined if the harness accepts it
 */
export function contractProblem(harness: Harness, event: string, stdout: string): string | undefined {
  if (harness === "kimi") {
    const takesText = ["SessionStart", "UserPromptSubmit"].includes(event)
    return stdout === "" || takesText ? undefined : "must be empty"
  }
  let output: unknown
  try {
    output = JSON.parse(stdout)
  } catch {
    return "is no JSON"
  }
  if (!stdout.startsWith("{")) return "does not begin with a brace"
  const schema = schemas[harness][event] ?? nothing
  // An empty object denies a tool call of Antigravity.
  const mayBeEmpty = harness !== "antigravity" || event !== "PreToolUse"
  if (fits(output, schema) || (mayBeEmpty && fits(output, nothing))) return undefined
  return `${stdout.slice(0, 200)} does not fit ${JSON.stringify(schema)}`
}

function fits(value: unknown, schema: Schema[string]): boolean {
  if (schema === "text") return typeof value === "string" && value !== "" && value.length <= 10_000
  if (Array.isArray(schema)) return schema.some((allowed) => isAllowed(value, allowed))
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  const members = value as Readonly<Record<string, unknown>>
  const known = Object.entries(schema as Schema)
  const names = known.map(([name]) => name.replace(/\?$/, ""))
  if (Object.keys(members).some((name) => !names.includes(name))) return false
  return known.every(([name, member]) => {
    const found = members[name.replace(/\?$/, "")]
    return found === undefined ? name.endsWith("?") : fits(found, member)
  })
}

function isAllowed(value: unknown, allowed: unknown): boolean {
  if (!Array.isArray(allowed)) return value === allowed
  return (
    Array.isArray(value) &&
    value.length === allowed.length &&
    value.every((item, i) => fits(item, allowed[i] as Schema))
  )
}
