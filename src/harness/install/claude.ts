import { join } from "node:path"
import {
  groupedHooks,
  type HarnessSpec,
  hookTimeoutS,
  jsonFile,
  mcpServer,
  member,
  skillFile,
} from "./spec.js"

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
    const description = "Messages between coding agents: what is unread, tools, and a wake-up."
    return [
      jsonFile(join(plugin, ".claude-plugin", "plugin.json"), {
        ...{ name: "agentchat", version: program.version, description },
      }),
      {
        ...{ kind: "config", format: "json", path: join(plugin, "hooks", "hooks.json") },
        ...groupedHooks(this, request, {
          // All hooks of the end of a session share 1.5 seconds.
          timeout: (event) => (event === "SessionEnd" ? 1 : hookTimeoutS),
          matcher: (event) => (event === "PreToolUse" ? "Edit|MultiEdit|Write|NotebookEdit" : undefined),
        }),
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
    wake: "inbox socket of the session",
    proof: "its hook echoes the ring's nonce",
    limits:
      "no socket with Bedrock, Vertex, Foundry or without telemetry, nor on the first session after install; then at its next hook",
  },
}
