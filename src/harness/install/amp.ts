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
import { createHash } from "node:crypto"
import { existsSync, readFileSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
${pluginHead("amp", request)}
export default function agentchat(amp) {
  const workspace = amp.system?.workspaceRoot ?? process.cwd()
  const threads = new Map()
  const threadOf = (event, context) => event?.thread ?? context?.thread
  const payload = (event, context, more = {}) => {
    const thread = threadOf(event, context)
    if (thread?.id !== undefined) threads.set(thread.id, thread)
    return { thread_id: thread?.id, cwd: workspace, ...more }
  }
  amp.on("session.start", async (event, context) => {
    const sent = payload(event, context)
    if (sent.thread_id !== undefined) await hook("session.start", sent)
  })
  amp.on("agent.start", async (event, context) => {
    const prompt = typeof event?.message === "string" ? event.message : JSON.stringify(event?.message ?? "")
    const answer = await hook("agent.start", payload(event, context, { prompt, prompt_id: event?.id }))
    if (typeof answer.context === "string") return { message: { content: answer.context, display: false } }
  })
  amp.on("agent.end", async (event, context) => {
    const can_continue = typeof threadOf(event, context)?.append === "function"
    const sent = payload(event, context, { status: event?.status, can_continue })
    const answer = await hook("agent.end", sent)
    if (typeof answer.continue === "string") await append(sent.thread_id, answer.continue)
  })
  if (claims !== null) {
    amp.on("tool.call", async (event, context) => {
      const more = { tool_name: event?.tool, tool_use_id: event?.toolUseID, tool_input: event?.input }
      const { deny } = await hook("tool.call", payload(event, context, more), ["--claims", claims])
      return typeof deny === "string" ? { action: "reject-and-continue", message: deny } : { action: "allow" }
    })
  }

${ringPart}
  /** Appends a message of the user's to the thread, where the build can; else the lines are shown at the next prompt. */
  async function append(id, text) {
    for (const message of [[{ type: "user-message", content: text }], text]) {
      try {
        return await threads.get(id)?.append(message)
      } catch {
        // The argument has another shape in this build, or the thread is gone.
      }
    }
  }
}
`
}

const ringPart = `  // The daemon rings by a file next to the record of the session, and counts the ring as taken once the file is gone.
  const timer = setInterval(() => {
    for (const id of threads.keys()) {
      const ring = ringFile(id)
      if (ring === undefined || !existsSync(ring)) continue
      try {
        const text = readFileSync(ring, "utf8")
        rmSync(ring)
        void append(id, text)
      } catch {
        // Somebody else took it.
      }
    }
  }, 300)
  timer.unref?.()
  amp.onDispose?.(() => clearInterval(timer))

  function ringFile(id) {
    const name = createHash("sha256").update(id).digest("hex").slice(0, 16)
    const homes = process.env.AGENTCHAT_HOME ? [process.env.AGENTCHAT_HOME] : []
    for (let folder = workspace; ; folder = dirname(folder)) {
      homes.push(join(folder, ".agentchat"))
      if (dirname(folder) === folder) break
    }
    const home = homes.find((one) => existsSync(join(one, "sessions", name + ".json")))
    return home === undefined ? undefined : join(home, "sessions", name + ".ring")
  }
`
