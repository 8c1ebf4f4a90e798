import { readdirSync } from "node:fs"
import { join } from "node:path"
import { groupedHooks, type HarnessSpec, hookTimeoutS, mcpServer, member, skillFile } from "./spec.js"

export const gemini: HarnessSpec = {
  name: "gemini",
  title: "Gemini CLI",
  programs: ["gemini"],
  folders: ({ home }) => (hasOwnFiles(join(home, ".gemini")) ? [join(home, ".gemini")] : []),
  events: ["SessionStart", "BeforeAgent", "AfterTool", "AfterAgent", "Notification", "SessionEnd"],
  claimEvent: "BeforeTool",
  files(request) {
    const { places, scope } = request
    const root = join(scope === "user" ? places.home : places.project, ".gemini")
    const hooks = groupedHooks(this, request, {
      // Milliseconds, unlike everywhere else.
      timeout: () => hookTimeoutS * 1_000,
      matcher: (event) => (["AfterTool", "BeforeTool"].includes(event) ? "*" : undefined),
    })
    const server = member(["mcpServers", "agentchat"], mcpServer(request))
    return [
      {
        ...{ kind: "config", format: "json", path: join(root, "settings.json") },
        ...{ ...hooks, additions: [...hooks.additions, server] },
      },
      skillFile(join(root, "skills"), request),
    ]
  },
  facts: {
    inject: "start, prompt, after a tool call, end of turn",
    wake: "none",
    proof: "the next hook shows the lines",
    limits: "an idle session reads at its next prompt; hooks of a project ask for trust",
  },
}

/** Antigravity keeps its files in folders of the same directory. */
function hasOwnFiles(directory: string): boolean {
  try {
    return readdirSync(directory).some((name) => !/^(config|antigravity.*|skills)$/.test(name))
  } catch {
    return false
  }
}
