/**
 * Formats what a hook has to say in the shape that its harness accepts. The shapes are not interchangeable: one harness
 * refuses a field that another one needs, and what is empty in one denies a tool call in another.
 */
import type { Harness } from "../harness.js"
import type { HookEvent, HookKind } from "./event.js"

/** The answer of a hook; at most one of the members is given. */
export interface HookAnswer {
  /** Text for the context of the model. */
  readonly context?: string
  /** Text with which the model continues instead of ending its turn. */
  readonly resume?: string
  /** Why the tool must not be called. */
  readonly deny?: string
}

/** The event that is answered; `session` for the variable by which later commands find the session. */
export type Answered = Pick<HookEvent, "harness" | "name" | "kind" | "session">

/** A value for standard output: an object is printed as JSON, a text as it is. */
export type HookOutput = Readonly<Record<string, unknown>> | string

/** Ways in which a harness takes text into the context of its model, by kind of event. */
export type Doors = Readonly<Partial<Record<HookKind, "context" | "resume">>>

const asClaude: Doors = { start: "context", prompt: "context", "after-tool": "context", stop: "resume" }

/** The answers that each harness takes, and when. A kind that is not listed takes nothing. */
export const doors: Readonly<Record<Harness, Doors>> = {
  claude: asClaude,
  codex: asClaude,
  gemini: asClaude,
  antigravity: { prompt: "context", "after-tool": "context", stop: "resume" },
  cursor: asClaude,
  copilot: { start: "context", "after-tool": "context", notification: "context", stop: "resume" },
  kimi: { start: "context", prompt: "context" },
  goose: { stop: "resume" },
  opencode: { prompt: "context", "after-tool": "context", stop: "resume" },
  amp: { prompt: "context", stop: "resume" },
}

/** Harnesses that show the model a remark on a tool call before the call. */
const takesRemark: ReadonlySet<Harness> = new Set(["claude", "codex", "cursor", "copilot"])

/** Reports whether a harness shows its model a remark at an event. */
export function takesContext({ harness, kind }: Pick<HookEvent, "harness" | "kind">): boolean {
  return kind === "before-tool" ? takesRemark.has(harness) : doors[harness][kind] === "context"
}

/** The variable by which commands that the agent runs find its session. */
export const sessionVariable = "AGENTCHAT_SESSION"

/** Returns the output for an answer; the one that changes nothing if there is no answer. */
export function formatAnswer(event: Answered, answer: HookAnswer = {}): HookOutput {
  return shapes[event.harness](event, answer)
}

type Shape = (event: Answered, answer: HookAnswer) => HookOutput

const nested: Shape = ({ name, kind }, { context, resume, deny }) => {
  if (resume !== undefined) return { decision: "block", reason: resume }
  if (deny !== undefined) {
    const decision = { permissionDecision: "deny", permissionDecisionReason: deny }
    return { hookSpecificOutput: { hookEventName: name, ...decision } }
  }
  // The end of a turn takes no context, and its schema no such field.
  if (context === undefined || kind === "stop") return {}
  return { hookSpecificOutput: { hookEventName: name, additionalContext: context } }
}

/** Codex has a schema for each event and drops an output with any other field. */
const codex: Shape = (event, answer) =>
  answer.deny === undefined ? nested(event, answer) : { decision: "block", reason: answer.deny }

const gemini: Shape = (event, answer) => {
  const reason = answer.resume ?? answer.deny
  return reason === undefined ? nested(event, answer) : { decision: "deny", reason }
}

const antigravity: Shape = ({ kind }, { context, resume, deny }) => {
  if (resume !== undefined) return { decision: "continue", reason: resume }
  if (deny !== undefined) return { decision: "deny", reason: deny }
  if (context !== undefined) return { injectSteps: [{ ephemeralMessage: context }] }
  // An empty object denies the call.
  return kind === "before-tool" ? { decision: "allow" } : {}
}

const cursor: Shape = ({ kind, session }, { context, resume, deny }) => {
  if (resume !== undefined) return { followup_message: resume }
  if (deny !== undefined) return { permission: "deny", user_message: deny, agent_message: deny }
  return {
    ...(kind === "start" && session !== undefined && { env: { [sessionVariable]: session } }),
    ...(context !== undefined && { additional_context: context }),
  }
}

const copilot: Shape = (_, { context, resume, deny }) => {
  if (resume !== undefined) return { decision: "block", reason: resume }
  if (deny !== undefined) return { permissionDecision: "deny", permissionDecisionReason: deny }
  return context === undefined ? {} : { additionalContext: context }
}

/** Kimi Code puts all of the output into the context, so there is none without something to say. */
const kimi: Shape = (event, answer) =>
  answer.deny === undefined ? (answer.context ?? "") : nested(event, answer)

const goose: Shape = (_, { resume, deny }) => {
  const reason = resume ?? deny
  return reason === undefined ? {} : { decision: "block", reason }
}

/** The plugins that `agentchat install` writes call the functions of their harness themselves. */
const plugin: Shape = (_, { context, resume, deny }) => ({
  ...(context !== undefined && { context }),
  ...(resume !== undefined && { continue: resume }),
  ...(deny !== undefined && { deny }),
})

const shapes: Readonly<Record<Harness, Shape>> = {
  ...{ claude: nested, codex, gemini, antigravity, cursor, copilot, kimi, goose },
  ...{ opencode: plugin, amp: plugin },
}
