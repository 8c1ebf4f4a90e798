import { join } from "node:path"
import { pluginHead } from "./plugin-text.js"
import { type FileRequest, type HarnessSpec, mcpServer, member, skillFile } from "./spec.js"

export const amp: HarnessSpec = {
  name: "amp",
  title: "Amp",
  programs: ["amp"],
  folders: ({ config }) => [join(config, "amp")],
  events: ["session.start", "agent.start", "agent.end"],
  claimEvent: "tool.call",
  files(request) {
    const { places, scope } = request
    const isUser = scope === "user"
    const root = isUser ? join(places.config, "amp") : join(places.project, ".amp")
    const skills = isUser
      ? join(places.config, "agents", "skills")
      : join(places.project, ".agents", "skills")
    return [
      { kind: "text", path: join(root, "plugins", "agentchat.ts"), text: pluginText(request) },
      {
        ...{ kind: "config", format: "json", path: join(root, "settings.json") },
        additions: [member(["amp.mcpServers", "agentchat"], mcpServer(request))],
      },
      skillFile(skills, request),
    ]
  },
  facts: {
    inject: "prompt",
    wake: "`append` of the thread",
    proof: "its plugin echoes the ring's nonce",
    limits: "older builds load plugins with `PLUGINS=all amp` only",
  },
}

/** Older builds demand its first line. */
function pluginText(request: FileRequest): string {
  return `// @i-know-the-amp-plugin-api-is-wip-and-very-experimental-right-now
// @ts-nocheck
${pluginHead("amp", request)}
export default function agentchat(amp) {
  const payload = (event, context, more = {}) => ({
    thread_id: event?.thread?.id ?? context?.thread?.id,
    cwd: amp.system?.workspaceRoot ?? process.cwd(),
    ...more,
  })
  amp.on("session.start", async (event, context) => {
    const told = payload(event, context)
    if (told.thread_id !== undefined) await hook("session.start", told)
  })
  amp.on("agent.start", async (event, context) => {
    const answer = await hook("agent.start", payload(event, context, { prompt: event?.message, prompt_id: event?.id }))
    if (typeof answer.context === "string") return { message: { content: answer.context, display: false } }
  })
  amp.on("agent.end", async (event, context) => {
    const answer = await hook("agent.end", payload(event, context, { status: event?.status }))
    if (typeof answer.continue === "string") await append(event, context, answer.continue)
  })
  if (claims !== null) {
    amp.on("tool.call", async (event, context) => {
      const more = { tool_name: event?.tool, tool_use_id: event?.toolUseID, tool_input: event?.input }
      const { deny } = await hook("tool.call", payload(event, context, more), ["--claims", claims])
      return typeof deny === "string" ? { action: "reject-and-continue", message: deny } : { action: "allow" }
    })
  }

  /** Appends a message of the user's to the thread, where the build can. */
  async function append(event, context, text) {
    const thread = event?.thread ?? context?.thread
    try {
      if (typeof thread?.append === "function") await thread.append([{ type: "user-message", content: text }])
    } catch {
      // The lines are shown at the next prompt.
    }
  }
}
`
}
