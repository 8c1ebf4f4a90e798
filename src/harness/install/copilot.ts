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

/** A hook before a tool call denies it by any failure: that hook is there for claims only, and outlives its program. */
export const copilot: HarnessSpec = {
  name: "copilot",
  title: "GitHub Copilot CLI",
  programs: ["copilot"],
  folders: ({ copilot }) => [copilot],
  noProject: "it runs only the hooks of its home directory",
  events: ["sessionStart", "userPromptSubmitted", "postToolUse", "notification", "agentStop", "sessionEnd"],
  claimEvent: "preToolUse",
  files(request) {
    const { places, claims } = request
    const root = places.copilot
    return [
      {
        ...{ kind: "config", format: "json", path: join(root, "hooks", "agentchat.json") },
        additions: [
          { ...member(["version"], 1), isFrame: true },
          ...this.events.map((event) => hook(event, request)),
          ...(claims === undefined ? [] : [hook("preToolUse", request, true)]),
        ],
        otherPlaces: [{ kind: "item", path: ["hooks", "preToolUse"] }],
      },
      {
        ...{ kind: "config", format: "json", path: join(root, "mcp-config.json") },
        additions: [
          member(["mcpServers", "agentchat"], { type: "local", ...mcpServer(request), tools: ["*"] }),
        ],
      },
      skillFile(join(root, "skills"), request),
    ]
  },
  facts: {
    inject: "start, after a tool call, end of turn",
    wake: "notification hook, when a background `agentchat wait` ends",
    proof: "the waiting command echoes the ring's nonce",
    limits: "hooks run from its home directory only, and not in background agents",
  },
}

function hook(event: string, request: FileRequest, isClaim = false) {
  const line = hookLine("copilot", event, request, isClaim)
  const bash = isClaim ? `${line} || true` : line
  return item(["hooks", event], { type: "command", bash, timeoutSec: hookTimeoutS })
}
