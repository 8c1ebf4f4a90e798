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

export const kimi: HarnessSpec = {
  name: "kimi",
  title: "Kimi Code",
  programs: ["kimi"],
  folders: ({ kimi }) => [kimi],
  noProject: "it reads its hooks from its home directory only",
  events: ["SessionStart", "UserPromptSubmit", "Stop", "SessionEnd"],
  claimEvent: "PreToolUse",
  files(request) {
    const { places, claims } = request
    const root = places.kimi
    return [
      {
        ...{ kind: "config", format: "toml", path: join(root, "config.toml") },
        additions: [
          ...this.events.map((event) => hook(event, request)),
          ...(claims === undefined ? [] : [hook("PreToolUse", request, true)]),
        ],
      },
      {
        ...{ kind: "config", format: "json", path: join(root, "mcp.json") },
        additions: [member(["mcpServers", "agentchat"], mcpServer(request))],
      },
      skillFile(join(root, "skills"), request),
    ]
  },
  facts: {
    inject: "start, prompt",
    wake: "none",
    proof: "the next hook shows the lines",
    limits: "an idle session reads at its next prompt; `-p` reports no end of the session",
  },
}

/** It refuses a table with any other key. */
function hook(event: string, request: FileRequest, isClaim = false) {
  const command = hookLine("kimi", event, request, isClaim)
  return item(["hooks"], { event, command, timeout: hookTimeoutS })
}
