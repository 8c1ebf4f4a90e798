import { join } from "node:path"
import type { Addition } from "../config/additions.js"
import {
  type FileRequest,
  groupedHooks,
  type HarnessSpec,
  hookLine,
  hookTimeoutS,
  item,
  jsonFile,
  mcpServer,
  member,
  skillFile,
} from "./spec.js"

/** Seconds after which the harness ends the hook that waits in the background: as long as a proof of waking counts. */
export const rewakeTimeoutS = 21_600

/**
 * A plugin in the folder of skills loads without a marketplace. Never its settings.json: other harnesses run the hooks
 * of that file too, and block every tool call if the answer has another shape than theirs.
 */
export const claude: HarnessSpec = {
  name: "claude",
  title: "Claude Code",
  programs: ["claude"],
  folders: ({ claude }) => [claude],
  events: [
    "SessionStart",
    "UserPromptSubmit",
    "PostToolBatch",
    "Notification",
    "Stop",
    "StopFailure",
    "SessionEnd",
  ],
  claimEvent: "PreToolUse",
  files(request) {
    const { places, scope, program } = request
    const root = scope === "user" ? places.claude : join(places.project, ".claude")
    const plugin = join(root, "skills", "agentchat")
    const hooks = groupedHooks(this, request, {
      // All hooks of the end of a session share 1.5 seconds.
      timeout: (event) => (event === "SessionEnd" ? 1 : hookTimeoutS),
      matcher: (event) => (event === "PreToolUse" ? "Edit|MultiEdit|Write|NotebookEdit" : undefined),
    })
    const description = "Messages between coding agents: what is unread, tools, and a wake-up."
    return [
      jsonFile(join(plugin, ".claude-plugin", "plugin.json"), {
        ...{ name: "agentchat", version: program.version, description },
      }),
      {
        ...{ kind: "config", format: "json", path: join(plugin, "hooks", "hooks.json") },
        ...hooks,
        additions: [...hooks.additions, ...idleEvents.map((event) => rewakeHook(event, request))],
      },
      {
        ...{ kind: "config", format: "json", path: join(plugin, ".mcp.json") },
        additions: [member(["mcpServers", "agentchat"], mcpServer(request))],
      },
      skillFile(join(plugin, "skills"), request),
    ]
  },
  afterInstall: "restart its sessions, or enter /reload-plugins in them",
  facts: {
    inject: "start, prompt, between tool calls, end of turn",
    wake: "inbox socket of the session; where it has none, a hook in the background (`asyncRewake`)",
    proof: "its hook echoes the ring's nonce",
    limits:
      "no socket with Bedrock, Vertex, Foundry or without telemetry, nor on the first session after install; the hook waits for 6 h after each turn",
  },
}

/** Events after which a session is idle. */
const idleEvents = ["SessionStart", "Stop"]

/** Runs in the background of an idle session, which it wakes by its exit status 2 and what it prints on standard error. */
function rewakeHook(event: string, request: FileRequest): Addition {
  const line = `${hookLine("claude", event, request)} --rewake`
  // Where there is an inbox socket it is not needed, and costs no process.
  const command = `[ -n "$CLAUDE_CODE_MESSAGING_SOCKET" ] || exec ${line} >&2`
  const handler = { type: "command", command, async: true, asyncRewake: true, timeout: rewakeTimeoutS }
  return item(["hooks", event], { hooks: [handler] })
}
