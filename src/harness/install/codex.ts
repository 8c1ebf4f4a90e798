import { join } from "node:path"
import { groupedHooks, type HarnessSpec, hookTimeoutS, mcpServer, member, skillFile } from "./spec.js"

export const codex: HarnessSpec = {
  name: "codex",
  title: "Codex CLI",
  programs: ["codex"],
  folders: ({ codex }) => [codex],
  events: ["SessionStart", "UserPromptSubmit", "PostToolUse", "PermissionRequest", "Stop", "SessionEnd"],
  claimEvent: "PreToolUse",
  files(request) {
    const { places, scope } = request
    const root = scope === "user" ? places.codex : join(places.project, ".codex")
    const skills = scope === "user" ? join(root, "skills") : join(places.project, ".agents", "skills")
    const ofTools = ["PreToolUse", "PostToolUse", "PermissionRequest"]
    return [
      {
        ...{ kind: "config", format: "json", path: join(root, "hooks.json") },
        ...groupedHooks(this, request, {
          timeout: () => hookTimeoutS,
          // In code mode edits and commands arrive under one name, so that no narrower pattern matches them.
          matcher: (event) => (ofTools.includes(event) ? "*" : undefined),
        }),
      },
      {
        ...{ kind: "config", format: "toml", path: join(root, "config.toml") },
        additions: [member(["mcp_servers", "agentchat"], mcpServer(request))],
      },
      skillFile(skills, request),
    ]
  },
  afterInstall: "enter /hooks in a session once and trust the hooks",
  facts: {
    inject: "start, prompt, after a tool call, end of turn",
    wake: "`codex queue`, if a live process holds the thread",
    proof: "its hook echoes the ring's nonce",
    limits:
      "hooks run once trusted with `/hooks`; before 0.154 they need `[features] hooks = true`; threads of `exec` are not woken",
  },
}
