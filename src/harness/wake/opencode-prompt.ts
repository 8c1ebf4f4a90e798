import { isPlain } from "../../base/plain.js"
import type { WakeDoor } from "../../daemon/wake/session-doors.js"
import { ChatError } from "../../protocol/errors.js"

const answerMs = 5_000
const loopback: ReadonlySet<string> = new Set(["127.0.0.1", "[::1]", "localhost"])

/**
 * `prompt_async` of the server of an OpenCode session. Only on this machine, and only if the server that has the port now
 * knows the session: another program may have taken the port.
 */
export function opencodePromptDoor(server: string | undefined, session: string): WakeDoor | undefined {
  if (server === undefined || !URL.canParse(server) || !loopback.has(new URL(server).hostname))
    return undefined
  const url = new URL(`/session/${encodeURIComponent(session)}`, server)
  return {
    method: "opencode-prompt",
    queues: false,
    ring: async (text) => {
      const known = await ask(url, { method: "GET" })
      const body: unknown = await known.json().catch(() => undefined)
      if (!known.ok || !isPlain(body) || body["id"] !== session) {
        throw new ChatError("UNREACHABLE", "opencode: another program answers on the port of the session")
      }
      const { ok, status } = await ask(new URL(`${url.pathname}/prompt_async`, url), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ parts: [{ type: "text", text }] }),
      })
      if (!ok) throw new ChatError("UNREACHABLE", `opencode: prompt_async: HTTP status ${status}`)
    },
  }
}

async function ask(url: URL, request: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...request, redirect: "error", signal: AbortSignal.timeout(answerMs) })
  } catch (error) {
    const { name, cause } = error as Error
    const code = (cause as NodeJS.ErrnoException | undefined)?.code
    throw new ChatError("UNREACHABLE", `opencode: ${code ?? name}`)
  }
}
