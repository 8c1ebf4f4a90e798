import { join } from "node:path"
import {
  type FileRequest,
  type HarnessSpec,
  hookLine,
  hookTimeoutS,
  item,
  mcpServer,
  member,
  skillFile,
} from "./spec.js"

export const antigravity: HarnessSpec = {
  name: "antigravity",
  title: "Antigravity CLI",
  programs: ["agy"],
  folders: ({ home }) =>
    ["config", "antigravity-cli", "antigravity"].map((name) => join(home, ".gemini", name)),
  events: ["SessionStart", "PreInvocation", "Stop"],
  claimEvent: "PreToolUse",
  files(request) {
    const { places, scope, claims } = request
    const root = scope === "user" ? join(places.home, ".gemini", "config") : join(places.project, ".agents")
    const group = (event: string) => ["agentchat", event]
    return [
      {
        ...{ kind: "config", format: "json", path: join(root, "hooks.json") },
        // Hooks of a session are a flat list; those of tools are grouped. A file with the layout of others is ignored.
        additions: [
          ...this.events.map((event) => item(group(event), handler(event, request))),
          ...(claims === undefined
            ? []
            : [item(group("PreToolUse"), { matcher: "*", hooks: [handler("PreToolUse", request, true)] })]),
        ],
        otherPlaces: [{ kind: "item", path: group("PreToolUse") }],
      },
      {
        ...{ kind: "config", format: "json", path: join(root, "mcp_config.json") },
        additions: [member(["mcpServers", "agentchat"], mcpServer(request))],
      },
      skillFile(join(root, "skills"), request),
    ]
  },
  facts: {
    inject: "before each call of the model, end of turn",
    wake: "none",
    proof: "the next hook shows the lines",
    limits: "with an API key no hook runs; 1.2.7 and before run no hooks of tools, so claims do not show",
  },
}

/** Without an answer a tool call is denied, also when the program is gone. */
const allow = `|| echo '{"decision":"allow"}'`

function handler(event: string, request: FileRequest, isClaim = false) {
  const line = hookLine("antigravity", event, request, isClaim)
  const command = isClaim ? `${line} ${allow}` : line
  return { type: "command", command, timeout: hookTimeoutS }
}
