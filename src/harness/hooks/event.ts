/**
 * Reads the JSON that a harness passes to its hooks. Every harness has names of its own for the same events and fields;
 * everything that is missing, has another type or is unknown is left out, because harnesses change faster than this program.
 */
import { createHash } from "node:crypto"
import { isAbsolute } from "node:path"
import { isPlain } from "../../base/plain.js"
import type { Harness } from "../harness.js"
import { parseDoor, type SessionDoor } from "../sessions.js"
import { pathsOf } from "./tool-paths.js"

type Members = Readonly<Record<string, unknown>>

/** The environment of a hook. */
type Environment = Readonly<Record<string, string | undefined>>

/** Kinds of events: `needs-user` when the harness asks its user something, `settled` for a turn that failed. */
export type HookKind =
  | "start"
  | "prompt"
  | "before-tool"
  | "after-tool"
  | "stop"
  | "settled"
  | "needs-user"
  | "notification"
  | "end"
  | "other"

/** One event of a harness, in the terms of all. */
export interface HookEvent {
  readonly harness: Harness
  /** The harness's own name of the event. */
  readonly name: string
  readonly kind: HookKind
  /** The id of the session; undefined if the harness gives none. */
  readonly session: string | undefined
  /** The directory of the project or else of the session, absolute; undefined if the harness gives none. */
  readonly cwd: string | undefined
  /** The text that the user or a wake-up entered. */
  readonly prompt: string
  readonly tool: string | undefined
  /** Files in the arguments of the tool, as the model named them. */
  readonly paths: readonly string[]
  /** False for a tool that by its name only reads. */
  readonly isEdit: boolean
  /** The reason why the session started or ended, such as `startup`, `clear` or `logout`; "" if unknown. */
  readonly cause: string
  /** False if the turn has been continued already, was interrupted or failed. */
  readonly mayContinue: boolean
  /** True for a notification that the session has nothing to do. */
  readonly isIdle: boolean
  /** Background tasks that run; undefined if the harness does not say. */
  readonly background: number | undefined
  /** True inside a subagent, which is no session of its own. */
  readonly isSubagent: boolean
  readonly door: SessionDoor
  /** The same for two firings of one event, and different for two events. */
  readonly firing: string
}

/** Longest id of a session, and of a name or a path, in characters. */
const maxId = 512
const maxPath = 4_096

/** Kinds by name, in lower case and without separators, which differ between harnesses. */
const kinds: ReadonlyMap<string, HookKind> = new Map(
  Object.entries({
    start: "sessionstart sessioncreated",
    prompt:
      "userpromptsubmit userpromptsubmitted beforesubmitprompt beforeagent preinvocation agentstart chatmessage",
    "before-tool":
      "pretooluse beforetool beforeshellexecution beforemcpexecution beforereadfile toolcall toolexecutebefore",
    "after-tool":
      "posttooluse posttoolusefailure posttoolbatch aftertool aftershellexecution aftermcpexecution afterfileedit toolresult toolexecuteafter",
    stop: "stop agentstop afteragent agentend sessionidle",
    settled: "stopfailure interrupt sessionerror erroroccurred",
    "needs-user": "permissionrequest permissionasked permissionupdated permissionask elicitation",
    notification: "notification",
    end: "sessionend sessiondeleted",
  } satisfies Partial<Record<HookKind, string>>).flatMap(([kind, names]) =>
    names.split(" ").map((name): [string, HookKind] => [name, kind as HookKind]),
  ),
)

/**
 * Reads an event.
 * @param name - the event as the hook was registered for it, which counts more than what the payload says
 * @param members - the JSON object on standard input, unvalidated
 */
export function readEvent(
  harness: Harness,
  name: string,
  members: Members,
  environment: Environment,
): HookEvent {
  const input = inputOf(members)
  const session = sessionOf(harness, members, environment)
  const tool =
    textOf(members, ["tool_name", "toolName", "tool"]) ?? textOf(toolCallOf(members), ["name", "tool"])
  const event = {
    ...{ harness, name, session, tool },
    kind: kindOf(harness, name, members),
    cwd: directoryOf(harness, members, environment),
    prompt: textOf(members, ["prompt", "message", "text"]) ?? "",
    paths: pathsOf(input).map((path) => path.slice(0, maxPath)),
    isEdit: isEdit(`${name} ${tool ?? ""}`, input),
    cause: textOf(members, ["source", "reason"]) ?? "",
    mayContinue: mayContinue(members),
    isIdle:
      plainName(name) === "notification" &&
      plainName(textOf(members, notificationKeys) ?? "") === "idleprompt",
    background: backgroundOf(members),
    isSubagent: isSubagent(name, members),
    door: doorOf(harness, session, members, environment),
  }
  return { ...event, firing: firingOf(event, members, input) }
}

const notificationKeys = ["notification_type", "notificationType", "type"]

function kindOf(harness: Harness, name: string, members: Members): HookKind {
  const kind = kinds.get(plainName(name)) ?? "other"
  // Antigravity fires it before each call of the model, of which the first answers the prompt.
  if (kind === "prompt" && Number(members["invocationNum"]) > 1) return "after-tool"
  // Copilot CLI fires it for every call of a tool, whether or not the user is asked.
  if (kind === "needs-user" && harness === "copilot") return "other"
  if (kind !== "notification") return kind
  const type = plainName(textOf(members, notificationKeys) ?? "")
  return /permission|elicitation|needsinput/.test(type) ? "needs-user" : kind
}

function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z]/g, "")
}

function isSubagent(name: string, members: Members): boolean {
  if (plainName(name).startsWith("subagent")) return true
  return textOf(members, ["agent_id", "agentId"]) !== undefined || members["is_background_agent"] === true
}

function sessionOf(harness: Harness, members: Members, environment: Environment): string | undefined {
  const own = textOf(members, [
    ...["session_id", "sessionId", "sessionID", "conversation_id", "conversationId"],
    ...["thread_id", "threadId", "threadID", "thread-id"],
  ])
  const found = own ?? (harness === "gemini" ? environment["GEMINI_SESSION_ID"] : undefined)
  return found === undefined || found.length > maxId ? undefined : found
}

/** Variables with the directory of the project, which stays the same when the session changes its directory. */
const projectVariables: Partial<Record<Harness, string>> = {
  claude: "CLAUDE_PROJECT_DIR",
  gemini: "GEMINI_PROJECT_DIR",
  cursor: "CURSOR_PROJECT_DIR",
}

function directoryOf(harness: Harness, members: Members, environment: Environment): string | undefined {
  const variable = projectVariables[harness]
  const candidates = [
    ...(variable === undefined ? [] : [environment[variable]]),
    ...[firstOf(members["workspace_roots"]), firstOf(members["workspacePaths"])],
    ...[members["project_dir"], members["cwd"], members["directory"]],
  ]
  return candidates.find(
    (path): path is string => typeof path === "string" && isAbsolute(path) && path.length <= maxPath,
  )
}

function firstOf(value: unknown): unknown {
  return Array.isArray(value) ? value[0] : undefined
}

function toolCallOf(members: Members): Members {
  const call = members["toolCall"] ?? members["tool_call"]
  return isPlain(call) ? call : {}
}

/** Returns the arguments of a tool, which some harnesses pass as a text of JSON. */
function inputOf(members: Members): unknown {
  const call = toolCallOf(members)
  const found = [
    ...["tool_input", "toolInput", "toolArgs", "tool_args", "input", "args"].map((key) => members[key]),
    ...["args", "input", "arguments"].map((key) => call[key]),
  ].find((value) => value !== undefined)
  if (found === undefined) return members
  if (typeof found !== "string") return found
  try {
    return JSON.parse(found) as unknown
  } catch {
    return { patch: found }
  }
}

/** A tool that is not known to read may write. */
function isEdit(names: string, input: unknown): boolean {
  if (isPlain(input) && input["command"] === "view") return false
  const isReader = /read|view|open|grep|glob|search|find|list|fetch|\bls\b/i.test(names)
  return !isReader || /write|edit|replace|patch|create|delete|remove|move|rename/i.test(names)
}

/** Ends of a turn after which nothing more is wanted. */
const interrupted = /abort|cancel|interrupt|error|fail/i

function mayContinue(members: Members): boolean {
  if (members["can_continue"] === false) return false
  if (members["stop_hook_active"] === true || members["stopHookActive"] === true) return false
  if (typeof members["loop_count"] === "number" && members["loop_count"] > 0) return false
  const end = textOf(members, ["status", "terminationReason", "termination_reason", "stopReason"]) ?? ""
  return !interrupted.test(end)
}

/** Counts background tasks that run. An `agentchat wait` among them is there to end this very wait. */
function backgroundOf(members: Members): number | undefined {
  if (members["fullyIdle"] === false) return 1
  const tasks = members["background_tasks"] ?? members["backgroundTasks"]
  if (!Array.isArray(tasks)) return undefined
  return tasks.filter((task: unknown) => {
    if (!isPlain(task)) return true
    const { status, command } = task
    const isOver = typeof status === "string" && /complete|done|exit|fail|kill|stop/i.test(status)
    return !isOver && !(typeof command === "string" && /\bagentchat\b.*\b(wait|watch)\b/.test(command))
  }).length
}

function doorOf(
  harness: Harness,
  session: string | undefined,
  members: Members,
  environment: Environment,
): SessionDoor {
  switch (harness) {
    case "claude":
      return parseDoor({
        socket: environment["CLAUDE_CODE_MESSAGING_SOCKET"],
        token: environment["CLAUDE_CODE_MESSAGING_TOKEN"],
      })
    case "codex":
    case "amp":
      return parseDoor({ thread: session })
    case "opencode":
      return parseDoor({ server: textOf(members, ["server_url", "serverUrl", "serverURL", "server"]) })
    default:
      return {}
  }
}

const firingFields = [
  ...[
    "tool_use_id",
    "toolUseId",
    "tool_call_id",
    "callID",
    "call_id",
    "prompt_id",
    "turn_id",
    "generation_id",
  ],
  ...["invocationNum", "loop_count", "stop_hook_active", "notification_type", "source", "reason", "message"],
  ...["prompt", "last_assistant_message", "prompt_response", "status"],
]

/**
 * Two harnesses that read one configuration, or two configurations of one harness, fire an event twice. Both firings
 * name the same call, turn and texts, whatever the payloads look like otherwise.
 */
function firingOf(
  { kind, tool }: Pick<HookEvent, "kind" | "tool">,
  members: Members,
  input: unknown,
): string {
  const told = firingFields.map((key) => members[key] ?? null)
  const text = JSON.stringify([kind, tool ?? null, told, kind.endsWith("tool") ? (input ?? null) : null])
  return createHash("sha256").update(text).digest("hex").slice(0, 16)
}

/** Returns the first of some members that is a text with content, or a number as text. */
function textOf(members: Members, keys: readonly string[]): string | undefined {
  for (const key of keys) {
    const value = members[key]
    if (typeof value === "string" && value !== "") return value
    if (typeof value === "number") return String(value)
  }
  return undefined
}
