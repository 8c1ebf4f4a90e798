import { lstatSync } from "node:fs"
import { connect } from "node:net"
import type { WakeDoor } from "../../daemon/wake/session-doors.js"
import { ChatError } from "../../protocol/errors.js"
import type { SessionDoor } from "../sessions.js"

/** Milliseconds in which the socket has to take the message. */
const connectMs = 2_000

/**
 * The inbox socket of a Claude Code session. It takes whatever it is sent without an answer, so that a message was
 * written proves nothing. It keeps a message until a running tool call has ended.
 * @param uid - of this user; the socket has to be theirs
 */
export function claudeSocketDoor({ socket, token }: SessionDoor, uid: number): WakeDoor | undefined {
  if (socket === undefined) return undefined
  return {
    method: "claude-socket",
    queues: true,
    ring: async (text) => {
      checkOwner(socket, uid)
      const auth = token === undefined ? [] : [{ type: "auth", token }]
      const lines = [...auth, { type: "user", message: { role: "user", content: text } }]
      await write(socket, lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
    },
  }
}

/** @throws {ChatError} if the path is not a socket of this user: the token is for nobody else */
function checkOwner(path: string, uid: number): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) throw new ChatError("UNREACHABLE", "the inbox socket of the session is gone")
  if (found.isSymbolicLink() || !found.isSocket() || found.uid !== uid) {
    throw new ChatError("UNREACHABLE", "the inbox socket of the session is not a socket of this user")
  }
}

function write(path: string, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string) => {
      socket.destroy()
      reject(new ChatError("UNREACHABLE", `the inbox socket of the session: ${reason}`))
    }
    const socket = connect(path)
    socket.setTimeout(connectMs, () => fail(`not taken within ${connectMs / 1_000} s`))
    socket.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? "failed"))
    // Its answers, if any, are not documented.
    socket.resume()
    socket.end(text, () => resolve())
    socket.on("finish", () => resolve())
  })
}
