import { existsSync } from "node:fs"
import { join } from "node:path"
import { pluginHead } from "./plugin-text.js"
import { type FileRequest, type HarnessSpec, member, skillFile } from "./spec.js"

export const opencode: HarnessSpec = {
  name: "opencode",
  title: "OpenCode",
  programs: ["opencode"],
  folders: ({ config }) => [join(config, "opencode")],
  events: [
    ...["session.created", "chat.message", "tool.execute.after", "permission.asked", "session.idle"],
    ...["session.error", "session.deleted"],
  ],
  claimEvent: "tool.execute.before",
  files(request) {
    const { places, scope, program } = request
    const root = scope === "user" ? join(places.config, "opencode") : join(places.project, ".opencode")
    const settings = scope === "user" ? root : places.project
    const server = { type: "local", command: [program.node, program.script, "mcp"], enabled: true }
    return [
      { kind: "text", path: join(root, "plugins", "agentchat.js"), text: pluginText(request) },
      {
        ...{ kind: "config", format: "json", path: settingsFile(settings) },
        additions: [member(["mcp", "agentchat"], server)],
      },
      skillFile(join(root, "skills"), request),
    ]
  },
  facts: {
    inject: "prompt, after a tool call, end of turn",
    wake: "`prompt_async` of its server",
    proof: "its plugin echoes the ring's nonce",
    limits: "only while its server runs",
  },
}

/** The file with comments counts if there is one: two files would both be read. */
function settingsFile(folder: string): string {
  const names = ["opencode.jsonc", "opencode.json"]
  return join(folder, names.find((name) => existsSync(join(folder, name))) ?? "opencode.json")
}

function pluginText(request: FileRequest): string {
  return `${pluginHead("opencode", request)}
export const AgentchatPlugin = async ({ client, directory, serverUrl }) => {
  const subagents = new Set()
  const payload = (session, more = {}) => ({
    session_id: session,
    cwd: directory,
    server_url: serverUrl === undefined ? undefined : String(serverUrl),
    ...more,
  })
  const passed = ["session.created", "session.deleted", "session.error", "permission.asked", "permission.updated"]
  return {
    event: async ({ event }) => {
      const { type, properties = {} } = event
      const info = properties.info ?? {}
      const session = properties.sessionID ?? info.id
      if (info.parentID !== undefined) subagents.add(session)
      if (session === undefined || subagents.has(session)) return
      if (passed.includes(type)) await hook(type, payload(session))
      if (type !== "session.idle") return
      const { continue: text } = await hook(type, payload(session))
      if (typeof text !== "string") return
      const body = { parts: [{ type: "text", text }] }
      await client.session.promptAsync({ path: { id: session }, body }).catch(() => {})
    },
    "chat.message": async ({ sessionID, messageID }, { parts }) => {
      if (subagents.has(sessionID)) return
      const text = parts.find((part) => part.type === "text")
      const more = { prompt: text?.text ?? "", prompt_id: messageID }
      const { context } = await hook("chat.message", payload(sessionID, more))
      if (typeof context !== "string") return
      if (text === undefined) return
      parts.push({ ...text, id: text.id + "0", text: context, synthetic: true })
    },
    "tool.execute.after": async ({ tool, sessionID, callID }, output) => {
      if (subagents.has(sessionID)) return
      const { context } = await hook("tool.execute.after", payload(sessionID, { tool_name: tool, tool_use_id: callID }))
      if (typeof context === "string") output.output = String(output.output ?? "") + "\\n\\n" + context
    },
    ...(claims !== null && {
      "tool.execute.before": async ({ tool, sessionID, callID }, { args }) => {
        if (subagents.has(sessionID)) return
        const more = { tool_name: tool, tool_use_id: callID, tool_input: args }
        const { deny } = await hook("tool.execute.before", payload(sessionID, more), ["--claims", claims])
        if (typeof deny === "string") throw new Error(deny)
      },
    }),
  }
}
`
}
