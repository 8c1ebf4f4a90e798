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

/**
 * Three things make Cursor ignore the whole file, also the hooks of others: an event it does not know, a command line
 * with a URL, and perhaps quotes around a path. So only events that the terminal version has been seen to run are here.
 */
export const cursor: HarnessSpec = {
  name: "cursor",
  title: "Cursor",
  programs: ["cursor-agent", "cursor"],
  folders: ({ home }) => [join(home, ".cursor")],
  events: ["beforeSubmitPrompt", "postToolUse", "stop"],
  claimEvent: "preToolUse",
  files(request) {
    const { places, scope, claims } = request
    const root = join(scope === "user" ? places.home : places.project, ".cursor")
    const hook = (event: string, isClaim = false) =>
      item(["hooks", event], { command: plainLine(event, request, isClaim), timeout: hookTimeoutS })
    return [
      {
        ...{ kind: "config", format: "json", path: join(root, "hooks.json") },
        additions: [
          { ...member(["version"], 1), isFrame: true },
          ...this.events.map((event) => hook(event)),
          ...(claims === undefined ? [] : [hook("preToolUse", true)]),
        ],
        otherPlaces: [{ kind: "item", path: ["hooks", "preToolUse"] }],
      },
      {
        ...{ kind: "config", format: "json", path: join(root, "mcp.json") },
        additions: [member(["mcpServers", "agentchat"], mcpServer(request))],
      },
      skillFile(join(root, "skills"), request),
    ]
  },
  afterInstall: "allow the tools once: cursor-agent mcp enable agentchat",
  facts: {
    inject: "prompt, after a tool call, end of turn",
    wake: "none",
    proof: "the next hook shows the lines",
    limits:
      "joins at its first prompt; print mode (`-p`) runs no hooks of prompts and ends; agentchat and Node must be in paths without spaces; the MCP server has to be enabled once",
  },
}

function plainLine(event: string, request: FileRequest, isClaim: boolean): string {
  const line = hookLine("cursor", event, request, isClaim)
  if (!/['"\\]|:\/\//.test(line)) return line
  throw new Error(
    "cannot hold a path with a space or another special character; install agentchat and Node elsewhere",
  )
}
