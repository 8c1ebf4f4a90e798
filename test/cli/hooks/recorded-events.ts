/** The events that harnesses pass to their hooks, in the shape of their documentation and of recorded runs. */
import type { Harness } from "../../../src/harness/harness.js"
import type { SessionState } from "../../../src/harness/sessions.js"

/** One event of a session. */
export interface RecordedEvent {
  readonly name: string
  readonly payload: Readonly<Record<string, unknown>>
  /** The state of the session after it. */
  readonly state: SessionState
}

const session = "0199aa00-1111-7222-8333-444455556666"
const base = { session_id: session, transcript_path: "/home/u/t.jsonl", cwd: "/CWD" }
const claude = { ...base, permission_mode: "default" }
const codex = { ...base, model: "gpt-6", permission_mode: "on-request" }
const gemini = { ...base, timestamp: "2026-11-30T12:00:00Z" }
const agy = { conversationId: session, transcriptPath: "/home/u/t", workspacePaths: ["/CWD"] }
const cursor = {
  ...{ conversation_id: session, generation_id: "g1", model: "m", cursor_version: "3.20.17" },
  ...{ workspace_roots: ["/CWD"], transcript_path: null, user_email: "u@example.org" },
}
const copilot = { sessionId: session, timestamp: 1_796_000_000_000, cwd: "/CWD" }
const plugin = { session_id: session, cwd: "/CWD" }

const edit = { file_path: "/CWD/a.ts", old_string: "a", new_string: "b" }

/** The events of one session of each harness, in order. */
export const recordedEvents: Readonly<Record<Harness, readonly RecordedEvent[]>> = {
  claude: [
    event("SessionStart", { ...claude, source: "startup", model: "m" }, "idle"),
    event("UserPromptSubmit", { ...claude, prompt: "fix it", prompt_id: "p1" }, "working"),
    event("UserPromptExpansion", { ...claude, prompt: "/fix" }, "working"),
    event("PreToolUse", { ...claude, tool_name: "Edit", tool_input: edit, tool_use_id: "t1" }, "working"),
    event("PermissionRequest", { ...claude, tool_name: "Edit", tool_input: edit }, "waiting"),
    event("PostToolUse", { ...claude, tool_name: "Edit", tool_input: edit, tool_use_id: "t1" }, "working"),
    event("Notification", { ...claude, message: "m", notification_type: "permission_prompt" }, "waiting"),
    event("PostToolUseFailure", { ...claude, tool_name: "Bash", tool_use_id: "t2", error: "e" }, "working"),
    event("Elicitation", { ...claude, message: "which?" }, "waiting"),
    event("PostToolBatch", { ...claude, tool_calls: [{ tool_name: "Edit" }] }, "working"),
    event("Stop", { ...claude, stop_hook_active: false, last_assistant_message: "ok" }, "idle"),
    event("Notification", { ...claude, message: "n", notification_type: "idle_prompt" }, "idle"),
    event("PreCompact", { ...claude, trigger: "auto" }, "idle"),
    event("SessionStart", { ...claude, source: "compact" }, "idle"),
    event("StopFailure", { ...claude, error: "rate_limit" }, "idle"),
    event("SubagentStart", { ...claude, agent_id: "a1", agent_type: "Explore" }, "idle"),
    event("FileChanged", { ...claude, file_path: "/CWD/a.ts", event: "change" }, "idle"),
    event("SessionEnd", { ...claude, reason: "prompt_input_exit" }, "ended"),
  ],
  codex: [
    event("SessionStart", { ...codex, source: "startup" }, "idle"),
    event("UserPromptSubmit", { ...codex, turn_id: "u1", prompt: "fix it" }, "working"),
    event(
      "PreToolUse",
      {
        ...{ ...codex, turn_id: "u1", tool_name: "apply_patch", tool_use_id: "c1" },
        tool_input: { command: "*** Begin Patch\n*** Update File: a.ts\n@@\n*** End Patch" },
      },
      "working",
    ),
    event("PermissionRequest", { ...codex, turn_id: "u1", tool_name: "Bash" }, "waiting"),
    event("PostToolUse", { ...codex, turn_id: "u1", tool_name: "exec", tool_use_id: "c1" }, "working"),
    event("PreCompact", { ...codex, turn_id: "u1" }, "working"),
    event("Stop", { ...codex, turn_id: "u1", stop_hook_active: false, last_assistant_message: null }, "idle"),
    event("SubagentStop", { ...codex, turn_id: "u2" }, "idle"),
    event("Interrupt", { ...codex, turn_id: "u3" }, "idle"),
    event("SessionEnd", { ...base, reason: "exit" }, "ended"),
  ],
  gemini: [
    event("SessionStart", { ...gemini, source: "startup" }, "idle"),
    event("BeforeAgent", { ...gemini, prompt: "fix it" }, "working"),
    event("BeforeModel", { ...gemini, llm_request: {} }, "working"),
    event("BeforeTool", { ...gemini, tool_name: "replace", tool_input: edit }, "working"),
    event("Notification", { ...gemini, notification_type: "ToolPermission", message: "m" }, "waiting"),
    event("AfterTool", { ...gemini, tool_name: "replace", tool_input: edit, tool_response: {} }, "working"),
    event(
      "AfterAgent",
      { ...gemini, prompt: "fix it", prompt_response: "ok", stop_hook_active: false },
      "idle",
    ),
    event("PreCompress", { ...gemini, trigger: "auto" }, "idle"),
    event("SessionEnd", { ...gemini, reason: "exit" }, "ended"),
  ],
  antigravity: [
    event("SessionStart", { ...agy }, "idle"),
    event("PreInvocation", { ...agy, invocationNum: 0 }, "working"),
    event("PreToolUse", { ...agy, toolCall: { name: "edit_file", args: { TargetFile: "a.ts" } } }, "working"),
    event("PreInvocation", { ...agy, invocationNum: 2 }, "working"),
    event("PostInvocation", { ...agy, invocationNum: 2 }, "working"),
    event("Stop", { ...agy, terminationReason: "completed", fullyIdle: true }, "idle"),
  ],
  cursor: [
    event("sessionStart", { ...cursor, is_background_agent: false }, "idle"),
    event("beforeSubmitPrompt", { ...cursor, prompt: "fix it" }, "working"),
    event("preToolUse", { ...cursor, cwd: "/CWD", tool_name: "Write", tool_input: edit }, "working"),
    event("beforeShellExecution", { ...cursor, command: "ls", cwd: "/CWD" }, "working"),
    event("postToolUse", { ...cursor, tool_name: "Write", tool_input: edit, tool_output: "ok" }, "working"),
    event("postToolUseFailure", { ...cursor, tool_name: "Shell", tool_input: { command: "x" } }, "working"),
    event("afterFileEdit", { ...cursor, file_path: "/CWD/a.ts", edits: [] }, "working"),
    event("afterAgentResponse", { ...cursor, text: "ok" }, "working"),
    event("stop", { ...cursor, status: "completed", loop_count: 0 }, "idle"),
    event("subagentStart", { ...cursor }, "idle"),
    event("sessionEnd", { ...cursor, reason: "completed" }, "ended"),
  ],
  copilot: [
    event("sessionStart", { ...copilot, source: "new", initialPrompt: "" }, "idle"),
    event("userPromptSubmitted", { ...copilot, prompt: "fix it" }, "working"),
    event("preToolUse", { ...copilot, toolName: "edit", toolArgs: '{"path":"a.ts"}' }, "working"),
    event("permissionRequest", { ...copilot, toolName: "edit" }, "working"),
    event("notification", { ...copilot, notification_type: "permission_prompt", message: "m" }, "waiting"),
    event("postToolUse", { ...copilot, toolName: "edit", toolArgs: '{"path":"a.ts"}' }, "working"),
    event("agentStop", { ...copilot, stop_hook_active: false, transcriptPath: "/t" }, "idle"),
    event("notification", { ...copilot, notification_type: "shell_completed", message: "n" }, "idle"),
    event("errorOccurred", { ...copilot, error: { message: "e" } }, "idle"),
    event("subagentStop", { ...copilot }, "idle"),
    event("sessionEnd", { ...copilot, reason: "complete" }, "ended"),
  ],
  kimi: [
    event("SessionStart", { ...base, source: "startup" }, "idle"),
    event("UserPromptSubmit", { ...base, prompt: "fix it" }, "working"),
    event("SessionHeartbeat", { ...base }, "working"),
    event("PreToolUse", { ...base, tool_name: "WriteFile", tool_input: { path: "a.ts" } }, "working"),
    event("PostToolUse", { ...base, tool_name: "WriteFile", tool_input: { path: "a.ts" } }, "working"),
    event("Stop", { ...base, stop_hook_active: false }, "idle"),
    event("SessionEnd", { ...base, reason: "exit" }, "ended"),
  ],
  goose: [
    event("SessionStart", { event: "SessionStart", session_id: session }, "idle"),
    event("UserPromptSubmit", { event: "UserPromptSubmit", session_id: session, message: "hi" }, "working"),
    event("PreToolUse", { event: "PreToolUse", session_id: session, tool_name: "shell" }, "working"),
    event("PostToolUse", { event: "PostToolUse", session_id: session, tool_name: "shell" }, "working"),
    event("Stop", { event: "Stop", session_id: session, last_assistant_message: "ok" }, "idle"),
    event("SessionEnd", { event: "SessionEnd", session_id: session }, "ended"),
  ],
  opencode: [
    event("session.created", { ...plugin, server_url: "http://127.0.0.1:4096" }, "idle"),
    event("chat.message", { ...plugin, prompt: "fix it", prompt_id: "m1" }, "working"),
    event(
      "tool.execute.before",
      { ...plugin, tool_name: "edit", tool_input: { filePath: "a.ts" } },
      "working",
    ),
    event("permission.asked", { ...plugin }, "waiting"),
    event("tool.execute.after", { ...plugin, tool_name: "edit", tool_use_id: "c1" }, "working"),
    event("session.idle", { ...plugin }, "idle"),
    event("session.error", { ...plugin }, "idle"),
    event("session.deleted", { ...plugin }, "ended"),
  ],
  amp: [
    event("session.start", { thread_id: session, cwd: "/CWD" }, "idle"),
    event("agent.start", { thread_id: session, cwd: "/CWD", prompt: "fix it", prompt_id: "1" }, "working"),
    event(
      "tool.call",
      { thread_id: session, cwd: "/CWD", tool_name: "edit_file", tool_input: {} },
      "working",
    ),
    event("tool.result", { thread_id: session, cwd: "/CWD", tool_name: "edit_file" }, "working"),
    event("agent.end", { thread_id: session, cwd: "/CWD", status: "done" }, "idle"),
  ],
}

/** The id of the session in all events. */
export const recordedSession = session

function event(name: string, payload: RecordedEvent["payload"], state: SessionState): RecordedEvent {
  return { name, payload: name === "agentStop" ? payload : { hook_event_name: name, ...payload }, state }
}
